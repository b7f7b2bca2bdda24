//! Answers that do not arrive as they should, written by hand.

use std::fmt::Write as _;

use bytes::Bytes;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::sleep,
};

use super::{body, connection::Transport};
use crate::reply::{Drip, End, Framing, Parting, Reply};

/// Writes as much of the answer as its delivery allows, and ends the connection.
pub(super) async fn write(mut stream: impl Transport, reply: Reply) -> io::Result<()> {
    let delivery = reply.delivery.clone();
    let length = reply.body.len();
    let (with_body, parting) = match delivery.end {
        End::BeforeHead(parting) => return part(stream, parting).await,
        End::AfterHead(parting) => (0, parting),
        End::InBody(extent, parting) => (extent.of(length), parting),
        End::Whole => (length, Parting::Close),
        End::WholeThen(parting) => (length, parting),
    };
    let is_whole = matches!(delivery.end, End::Whole | End::WholeThen(_));
    let says_close = matches!(delivery.end, End::Whole | End::AfterHead(Parting::Close));
    let head = head(&reply, length, delivery.framing, says_close);
    write_at(&mut stream, head.as_bytes(), delivery.head_pace).await?;
    let mut left = with_body;
    let mut pieces = body::pieces(reply.body);
    while left > 0
        && let Some(mut piece) = pieces.recv().await
    {
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= u64::try_from(piece.len()).unwrap_or(left);
        let frame = framed(piece, delivery.framing);
        write_at(&mut stream, &frame, delivery.body_pace).await?;
    }
    drop(pieces);
    if is_whole && delivery.framing == Framing::Chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    stream.flush().await?;
    part(stream, parting).await
}

fn head(reply: &Reply, length: u64, framing: Framing, says_close: bool) -> String {
    let reason = hyper::StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or("Unknown"));
    let framing = match framing {
        Framing::Sized => ("Content-Length", length.to_string()),
        Framing::Chunked => ("Transfer-Encoding", "chunked".to_owned()),
    };
    let connection = ("Connection", if says_close { "close" } else { "keep-alive" });
    for (name, value) in reply.headers().chain([(framing.0, framing.1.as_str()), connection]) {
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head + "\r\n"
}

fn framed(piece: Bytes, framing: Framing) -> Bytes {
    match framing {
        Framing::Sized => piece,
        Framing::Chunked => [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat().into(),
    }
}

async fn write_at(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], pace: Option<Drip>) -> io::Result<()> {
    let Some(Drip { bytes: drop, pause }) = pace else { return stream.write_all(bytes).await };
    for drop in bytes.chunks(drop.max(1)) {
        stream.write_all(drop).await?;
        stream.flush().await?;
        sleep(pause).await;
    }
    Ok(())
}

async fn part(mut stream: impl Transport, parting: Parting) -> io::Result<()> {
    match parting {
        Parting::Close => {}
        Parting::Reset => stream.reset_at_end()?,
        // Until the client gives up.
        Parting::Hold => while stream.read(&mut [0; 1024]).await? > 0 {},
    }
    Ok(())
}
