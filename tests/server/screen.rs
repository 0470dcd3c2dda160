//! A terminal for a command: what it draws there, and what somebody types.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use vt100::Parser;

use super::harness::{Home, PATIENCE};

/// A terminal in which a shell runs one line.
pub struct Screen {
    shell: Child,
    terminal: Arc<Pty>,
    drawn: Arc<Mutex<Parser>>,
}

impl Screen {
    /// Runs `line` in the folder of a test, with `$IC` for the program, in a terminal of this many rows and columns.
    pub fn run(home: &Home, line: &str, (rows, columns): (u16, u16)) -> Self {
        let (terminal, inner) = open().unwrap();
        terminal.resize(Size::new(rows, columns)).unwrap();
        let command = Command::new("sh").args(["-c", line]).env_clear().current_dir(home.root());
        let command = command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.root());
        let command = command.env("TERM", "xterm-256color").env("IC", env!("CARGO_BIN_EXE_issuecommand"));
        let shell = command.env("XDG_CACHE_HOME", super::harness::shared_cache()).spawn(inner).unwrap();
        let screen = Self { shell, terminal: Arc::new(terminal), drawn: Arc::new(Mutex::new(parser(rows, columns))) };
        let (terminal, drawn) = (Arc::clone(&screen.terminal), Arc::clone(&screen.drawn));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error once nobody has the inner side open.
            while let Ok(count @ 1..) = (&*terminal).read(&mut bytes) {
                drawn.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
            }
        });
        screen
    }

    pub fn look<T>(&self, at: impl FnOnce(&vt100::Screen) -> T) -> T {
        at(self.drawn.lock().unwrap_or_else(PoisonError::into_inner).screen())
    }

    /// Waits until `condition` holds of what stands on the screen.
    #[track_caller]
    pub fn wait_until(&self, condition: impl Fn(&str) -> bool) -> String {
        self.wait_for(|screen| condition(&screen.contents()))
    }

    /// Waits until `condition` holds of the terminal, and answers what stands on it then.
    #[track_caller]
    pub fn wait_for(&self, condition: impl Fn(&vt100::Screen) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (holds, text) = self.look(|screen| (condition(screen), screen.contents()));
            if holds {
                return text;
            }
            assert!(Instant::now() < deadline, "the screen never came to show it:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn press(&self, keys: &str) {
        (&*self.terminal).write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = |count| NonZeroU16::new(count).unwrap();
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).set_size(size(rows), size(columns));
        self.terminal.resize(Size::new(rows, columns)).unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn parser(rows: u16, columns: u16) -> Parser {
    Parser::new(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap(), 0)
}
