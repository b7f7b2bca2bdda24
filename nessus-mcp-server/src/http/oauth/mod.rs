//! Access tokens of an identity provider: the server as a resource server of OAuth 2.1.
//!
//! ```text
//! keys       public keys, and which of them fits a token      source  reads them over HTTP
//! cache      keeps them                                       token   checks a token
//! challenge  what clients are told of how to come in          step_up a call that more scopes would allow
//! verifier   all of it for the policy in force
//! ```

mod cache;
mod challenge;
mod keys;
mod source;
mod step_up;
mod token;
mod verifier;

pub(super) use self::{
    challenge::{METADATA_PATH, Wrong, challenge, metadata},
    step_up::{StepUp, insufficient_scope, step_up},
    token::JwtError,
    verifier::Verifier,
};
