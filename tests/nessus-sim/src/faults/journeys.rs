//! Ways in which an answer travels badly.

use super::entry::Settings;
use crate::reply::{Delay, Delivery, End, Framing, Parting};

/// The answer comes late.
pub(super) fn late(settings: &Settings) -> Delivery {
    Delivery { delay: Delay::For(settings.delay), ..Delivery::default() }
}

/// Nothing comes, and nothing ends.
pub(super) fn silent(_settings: &Settings) -> Delivery {
    Delivery { delay: Delay::Forever, ..Delivery::default() }
}

/// The head comes a few bytes at a time.
pub(super) fn slow_head(settings: &Settings) -> Delivery {
    Delivery { head_pace: Some(settings.drip()), ..Delivery::default() }
}

/// The body comes a few bytes at a time.
pub(super) fn trickle(settings: &Settings) -> Delivery {
    Delivery { body_pace: Some(settings.drip()), ..Delivery::default() }
}

/// The body comes in chunks, its length untold.
pub(super) fn chunked(_settings: &Settings) -> Delivery {
    Delivery { framing: Framing::Chunked, ..Delivery::default() }
}

/// The connection is closed before the answer.
pub(super) fn closed(settings: &Settings) -> Delivery {
    Delivery { end: End::BeforeHead(Parting::Close), ..late(settings) }
}

/// The connection is reset before the answer.
pub(super) fn reset(settings: &Settings) -> Delivery {
    Delivery { end: End::BeforeHead(Parting::Reset), ..late(settings) }
}

/// The connection is closed after the answer, which does not say so.
pub(super) fn closed_behind(_settings: &Settings) -> Delivery {
    Delivery { end: End::WholeThen(Parting::Close), ..Delivery::default() }
}

/// The head comes, then the connection is closed.
pub(super) fn head_only(_settings: &Settings) -> Delivery {
    Delivery { end: End::AfterHead(Parting::Close), ..Delivery::default() }
}

/// The head comes, then nothing.
pub(super) fn head_then_silence(_settings: &Settings) -> Delivery {
    Delivery { end: End::AfterHead(Parting::Hold), ..Delivery::default() }
}

/// A part of the body comes, then the connection is closed.
pub(super) fn short(settings: &Settings) -> Delivery {
    Delivery { end: End::InBody(settings.extent(), Parting::Close), ..Delivery::default() }
}

/// A part of the body comes in chunks, then the connection is closed.
pub(super) fn short_chunked(settings: &Settings) -> Delivery {
    Delivery { framing: Framing::Chunked, ..short(settings) }
}

/// A part of the body comes, then the connection is reset.
pub(super) fn cut(settings: &Settings) -> Delivery {
    Delivery { end: End::InBody(settings.extent(), Parting::Reset), ..Delivery::default() }
}

/// A part of the body comes, then nothing.
pub(super) fn stalled(settings: &Settings) -> Delivery {
    Delivery { end: End::InBody(settings.extent(), Parting::Hold), ..Delivery::default() }
}
