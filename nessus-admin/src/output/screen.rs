//! The whole terminal as a screen, and a picture of it as text.

use std::{
    io::{self, IsTerminal as _},
    thread,
};

use nessus_mcp_lib::error::Failure;
use ratatui::{
    DefaultTerminal, Frame, Terminal as Drawn,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Whether there is a terminal that can be a screen.
pub(crate) fn is_possible() -> bool {
    io::stdout().is_terminal()
}

/// The terminal as a screen. Whatever ends it, a panic included, the terminal is as it was before.
#[derive(Debug)]
pub(crate) struct Screen(DefaultTerminal);

impl Screen {
    pub(crate) fn open() -> Result<Self, Failure> {
        Ok(Self(ratatui::try_init()?))
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.0.draw(draw)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What somebody at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To end.
    Quit,
    /// To see the screen drawn for another size.
    Redraw,
}

/// What is typed from now on. The thread that reads it ends with the process.
pub(crate) fn wishes() -> UnboundedReceiver<Wish> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            let wish = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
                    _ => continue,
                },
                Event::Resize(..) => Wish::Redraw,
                _ => continue,
            };
            if sender.send(wish).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What a screen of this size shows, as lines of text.
pub(crate) fn picture(width: u16, height: u16, draw: impl FnOnce(&mut Frame<'_>)) -> Vec<String> {
    let Ok(mut drawn) = Drawn::new(TestBackend::new(width, height));
    let Ok(_) = drawn.draw(draw);
    let buffer = drawn.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}
