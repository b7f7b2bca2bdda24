//! `top`: queues, workers, running scans, circuits and failures, live.

mod draw;
mod model;

use std::time::Duration;

use nessus_mcp_lib::error::{Failure, excerpt};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};

use self::model::{Source, View};
use crate::{
    args::TopArgs,
    output::{self, Terminal, screen},
};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long a look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How wide a picture is where no terminal says it.
const PICTURE_WIDTH: u16 = 120;

pub(crate) async fn run(args: &TopArgs) -> Result<(), Failure> {
    let source = timeout(LOOK_LIMIT, Source::open(&args.common.settings()?)).await.unwrap_or_else(|_| Err(late()))?;
    if args.json {
        return output::json(&look(&source).await?);
    }
    let terminal = Terminal::of_stdout();
    if args.once || !screen::is_possible() {
        let view = look(&source).await?;
        let width = args.width.or_else(|| u16::try_from(terminal.width()?).ok()).unwrap_or(PICTURE_WIDTH);
        let lines = screen::picture(width, draw::height(&view), |frame| draw::draw(frame, &view, None, terminal));
        output::lines(lines);
        return Ok(());
    }
    live(&source, terminal).await
}

fn late() -> Failure {
    Failure::new(format!("there was no answer within {} s", LOOK_LIMIT.as_secs()))
}

async fn look(source: &Source) -> Result<View, Failure> {
    timeout(LOOK_LIMIT, source.look()).await.unwrap_or_else(|_| Err(late()))
}

/// Looks each second and draws what was seen, until somebody quits or the process is told to end. A queue that does not answer is
/// said above what was seen last.
async fn live(source: &Source, terminal: Terminal) -> Result<(), Failure> {
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut screen = screen::Screen::open()?;
    let mut wishes = screen::wishes();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut view, mut problem) = (View::default(), None);
    loop {
        screen.draw(|frame| draw::draw(frame, &view, problem.as_deref(), terminal))?;
        let seen = async {
            ticks.tick().await;
            look(source).await
        };
        tokio::pin!(seen);
        tokio::select! {
            seen = &mut seen => match seen {
                Ok(seen) => (view, problem) = (seen, None),
                Err(failure) => {
                    let text = failure.to_string();
                    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                    problem = Some(excerpt(line).to_string());
                }
            },
            wish = wishes.recv() => match wish {
                Some(screen::Wish::Redraw) => {}
                // Without a keyboard nobody can quit it.
                Some(screen::Wish::Quit) | None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}
