//! An identity provider on loopback that signs access tokens, rotates its keys, and misbehaves.
//!
//! ```no_run
//! # async fn example() {
//! use nessus_mcp_tests::identity_provider::{IdentityProvider, SigningKey};
//! let key = SigningKey::rsa("2026-11");
//! let provider = IdentityProvider::start([&key]).await;
//! let token = key.sign(&provider.claims("https://scan.example/mcp", "alice", "nessus:read"));
//! println!("{} has signed {token}", provider.issuer());
//! # }
//! ```
//!
//! Tokens are made here without a JWT library, so that a token may be as wrong as a test wants it.
#![expect(clippy::missing_panics_doc, reason = "a test that cannot have its provider cannot go on")]

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{self, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const KEYS_PATH: &str = "/jwks";
const METADATA_PATH: &str = "/.well-known/openid-configuration";

/// What the provider does with a request for its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status.
    Status(u16),
    /// It closes the connection without an answer.
    Down,
    /// It sends the keys elsewhere, where they are.
    Redirect,
    /// It answers with the keys, and does not stop.
    Huge,
    /// It begins an answer and never ends it.
    Slow,
    /// It answers with something else than keys.
    NoJson,
    /// It answers with no keys at all.
    Empty,
    /// Its metadata are those of another issuer.
    OtherIssuer,
    /// Its metadata say that the keys are where others can change them.
    UnsafeKeys,
}

/// A private key, with which tokens are signed.
#[derive(Debug)]
pub struct SigningKey {
    id: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(Box<rsa::KeyPair>),
    Ec(EcdsaKeyPair),
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this head, these claims, and what `sign` makes of both.
fn token(head: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(head.to_string()), encode(claims.to_string()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", encode(signature))
}

/// A token that nobody has signed.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    token(head, claims, |_| Vec::new())
}

/// A token that was signed with a shared secret.
pub fn signed_with_secret(head: &Value, claims: &Value, secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    token(head, claims, |message| hmac::sign(&key, message).as_ref().to_vec())
}

impl SigningKey {
    /// A key for RS256.
    pub fn rsa(id: &str) -> Self {
        let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap_or_else(|error| panic!("no RSA key: {error}"));
        Self { id: id.to_owned(), pair: Pair::Rsa(Box::new(pair)) }
    }

    /// A key for ES256.
    pub fn ec(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        Self { id: id.to_owned(), pair: Pair::Ec(pair.unwrap_or_else(|error| panic!("no EC key: {error}"))) }
    }

    /// The head of a token that it signs.
    pub fn head(&self) -> Value {
        let algorithm = match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        };
        json!({ "alg": algorithm, "typ": "at+jwt", "kid": self.id })
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.head(), claims)
    }

    /// A token with this head, whatever it says.
    pub fn sign_with(&self, head: &Value, claims: &Value) -> String {
        token(head, claims, |message| self.signature(message))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.unwrap_or_else(|error| panic!("cannot sign: {error}"));
                signature
            }
            Pair::Ec(pair) => {
                let signed = pair.sign(&random, message);
                signed.unwrap_or_else(|error| panic!("cannot sign: {error}")).as_ref().to_vec()
            }
        }
    }

    /// The public key as the provider publishes it.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = encode(public.modulus().big_endian_without_leading_zero());
                let e = encode(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "kid": self.id, "use": "sig", "alg": "RS256", "n": n, "e": e })
            }
            Pair::Ec(pair) => {
                // 4, then both coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "kid": self.id, "use": "sig", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
        }
    }

    /// The public key of an RSA pair in PEM: what somebody would sign with who takes it for a secret.
    pub fn public_pem(&self) -> String {
        let Pair::Rsa(pair) = &self.pair else { panic!("only RSA keys are given as PEM") };
        let der: PublicKeyX509Der<'_> =
            pair.public_key().as_der().unwrap_or_else(|error| panic!("cannot write the key: {error}"));
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()))
    }
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Value>,
    fault: Option<Fault>,
    key_requests: usize,
    all_requests: usize,
}

/// A running provider. It ends when it is dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl IdentityProvider {
    /// A provider that publishes these keys.
    pub async fn start<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|error| panic!("the provider cannot listen: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let state = Arc::new(Mutex::new(State::default()));
        let serving = tokio::spawn(serve(listener, address, Arc::clone(&state)));
        let provider = Self { address, state, serving };
        provider.publish(keys);
        provider
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> String {
        issuer(self.address)
    }

    /// Where its keys are.
    pub fn keys_url(&self) -> String {
        format!("{}{KEYS_PATH}", self.issuer())
    }

    /// From now on it publishes these keys and no others.
    pub fn publish<'a>(&self, keys: impl IntoIterator<Item = &'a SigningKey>) {
        self.state().keys = keys.into_iter().map(SigningKey::jwk).collect();
    }

    /// From now on it misbehaves so, or no more.
    pub fn misbehave(&self, fault: impl Into<Option<Fault>>) {
        self.state().fault = fault.into();
    }

    /// How often its keys were asked for.
    pub fn key_requests(&self) -> usize {
        self.state().key_requests
    }

    /// How often it was asked for anything.
    pub fn requests(&self) -> usize {
        self.state().all_requests
    }

    /// The claims of a token that is right in everything.
    pub fn claims(&self, audience: &str, subject: &str, scope: &str) -> Value {
        let now = now();
        json!({
            "iss": self.issuer(), "aud": audience, "sub": subject, "scope": scope,
            "iat": now, "exp": now + 600, "client_id": "test",
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Now, as tokens have it: in seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn issuer(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, address: SocketAddr, state: Arc<Mutex<State>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // A client that is gone is none to answer.
            let _ = answer(stream, address, &state).await;
        });
    }
}

async fn answer(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split([' ', '?']).nth(1).unwrap_or_default();
    let (fault, keys) = {
        let mut state = lock(state);
        state.all_requests += 1;
        state.key_requests += usize::from(path == KEYS_PATH);
        (state.fault, json!({ "keys": state.keys }).to_string())
    };
    match (path, fault) {
        (METADATA_PATH, fault) => {
            let of =
                if fault == Some(Fault::OtherIssuer) { "https://other.example".to_owned() } else { issuer(address) };
            let keys = match fault {
                Some(Fault::UnsafeKeys) => "http://keys.example/jwks".to_owned(),
                _ => format!("{}{KEYS_PATH}", issuer(address)),
            };
            reply(&mut stream, 200, "", &json!({ "issuer": of, "jwks_uri": keys }).to_string()).await
        }
        (KEYS_PATH, Some(Fault::Down)) => Ok(()),
        (KEYS_PATH, Some(Fault::Status(status))) => reply(&mut stream, status, "", &keys).await,
        (KEYS_PATH, Some(Fault::Redirect)) => reply(&mut stream, 302, "location: /elsewhere\r\n", "").await,
        (KEYS_PATH, Some(Fault::NoJson)) => reply(&mut stream, 200, "", "<html>").await,
        (KEYS_PATH, Some(Fault::Empty)) => reply(&mut stream, 200, "", "{\"keys\": []}").await,
        (KEYS_PATH, Some(Fault::Slow)) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{").await?;
            std::future::pending().await
        }
        (KEYS_PATH, Some(Fault::Huge)) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").await?;
            stream.write_all(keys.as_bytes()).await?;
            loop {
                stream.write_all(&[b' '; 16 << 10]).await?;
            }
        }
        (KEYS_PATH | "/elsewhere", _) => reply(&mut stream, 200, "", &keys).await,
        _ => reply(&mut stream, 404, "", "nothing here").await,
    }
}

async fn reply(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
