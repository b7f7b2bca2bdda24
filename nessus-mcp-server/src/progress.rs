//! What a caller that sent a progress token hears while its call lasts.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::RequestContext,
};
use tokio::time::{Instant, sleep};
use tracing::debug;

/// How often the caller hears that its call goes on.
const EVERY: Duration = Duration::from_secs(5);

/// The progress of one call: the seconds that it has lasted, which can only grow. Says nothing to a caller that sent no token.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Option<Arc<Told>>);

#[derive(Debug)]
struct Told {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    since: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last value that was sent.
    last: Option<f64>,
    /// How many seconds the call lasts at most, where that is known.
    total: Option<f64>,
    message: String,
}

impl Progress {
    /// That of a call of this tool.
    pub(crate) fn of(context: &RequestContext<RoleServer>, tool: &str) -> Self {
        let told = context.meta.get_progress_token().map(|token| {
            let state = State { last: None, total: None, message: format!("{tool} is at work") };
            Arc::new(Told { peer: context.peer.clone(), token, since: Instant::now(), state: Mutex::new(state) })
        });
        Self(told)
    }

    /// That of the call with this context, if the caller sent a token.
    pub(crate) fn in_call(context: &RequestContext<RoleServer>) -> Option<&Self> {
        context.extensions.get::<Self>().filter(|progress| progress.0.is_some())
    }

    /// Says at once that the call waits for up to so long, and for what.
    pub(crate) async fn waits(&self, most: Duration, message: String) {
        let Some(told) = &self.0 else { return };
        {
            let mut state = told.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.total, state.message) = (Some(most.as_secs_f64()), message);
        }
        told.tell().await;
    }

    /// Runs the call, and says from time to time that it goes on.
    pub(crate) async fn during<T>(&self, call: impl Future<Output = T>) -> T {
        let Some(told) = &self.0 else { return call.await };
        let mut call = pin!(call);
        loop {
            tokio::select! {
                biased;
                answer = &mut call => return answer,
                () = told.tell_later() => {}
            }
        }
    }
}

impl Told {
    async fn tell_later(&self) {
        sleep(EVERY).await;
        self.tell().await;
    }

    async fn tell(&self) {
        let Some(value) = self.next() else { return };
        if let Err(error) = self.peer.notify_progress(value).await {
            debug!(%error, "the caller does not hear of the progress");
        }
    }

    /// The next notification: none where its value would not be larger than the last, or would be more than the whole.
    fn next(&self) -> Option<ProgressNotificationParam> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let value = self.since.elapsed().as_secs_f64();
        if state.last.is_some_and(|last| value <= last) || state.total.is_some_and(|total| value > total) {
            return None;
        }
        state.last = Some(value);
        let progress = ProgressNotificationParam::new(self.token.clone(), value).with_message(state.message.clone());
        Some(match state.total {
            Some(total) => progress.with_total(total),
            None => progress,
        })
    }
}
