//! The simulator behind wiremock's server: the same endpoints, on a server that a test may have other mocks on.
//!
//! wiremock can delay an answer, but it has no hold on the connection: a fault that would break it cannot be injected. It
//! also keeps a copy of each request, so it is for short tests.

use bytes::Bytes;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use super::{
    reply::{Delay, Reply},
    wire::{Answer, Incoming},
};

/// Lets `answer` answer everything that no other mock of the server answers.
pub(super) async fn mount(answer: impl Answer, server: &MockServer) {
    Mock::given(any()).respond_with(OnWiremock(answer)).with_priority(u8::MAX).mount(server).await;
}

struct OnWiremock<A>(A);

impl<A: Answer> Respond for OnWiremock<A> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        template(self.0.answer(&incoming(request)))
    }
}

fn incoming(request: &Request) -> Incoming {
    let headers = request.headers.iter();
    let headers = headers
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = Bytes::copy_from_slice(&request.body);
    Incoming::new(request.method.as_str(), request.url.path(), request.url.query().unwrap_or_default(), headers, body)
}

fn template(reply: Reply) -> ResponseTemplate {
    let mut template = ResponseTemplate::new(reply.status);
    for (name, value) in reply.headers() {
        template = template.insert_header(name, value);
    }
    if let Delay::For(delay) = reply.delivery.delay {
        template = template.set_delay(delay);
    }
    match reply.body.into_bytes() {
        Ok(body) => template.set_body_bytes(body),
        Err(error) => ResponseTemplate::new(500).set_body_string(error.to_string()),
    }
}
