//! A terminal for the commands of one page: they run one after the other in one shell, as they would for a reader.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::documents::{Block, Way};
use crate::harness::shared_cache;

/// Said by the shell when a command has ended, with its exit code.
const ENDED: &str = "(ended)";
/// How long one block may take; generous, since machines are shared.
const PATIENCE: Duration = Duration::from_secs(180);
/// The port that the documents name. Tests fix none, so it stands for whichever there is.
const PORT: &str = "3100";

/// Stands in for cargo, whose build is there already: what the documents run by it is the program under test.
const CARGO: &str = "#!/bin/sh\n[ \"$1 $2 $3\" = \"run -- demo\" ] || exit 64\nexec issuecommand demo --port 0\n";

pub struct Shell {
    child: Child,
    input: ChildStdin,
    said: Receiver<String>,
    folder: PathBuf,
    port: Option<String>,
    /// The process groups of what runs until it is ended.
    beside: Vec<String>,
}

impl Shell {
    /// Opens one in a folder, with the program under test on its path. `port`: of the server that runs already.
    pub fn open(folder: &Path, port: Option<&str>) -> Self {
        let programs = folder.join(".programs");
        fs::create_dir_all(&programs).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_issuecommand"), programs.join("issuecommand")).unwrap();
        let cargo = programs.join("cargo");
        fs::write(&cargo, CARGO).unwrap();
        fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.env_clear().env("PATH", path).env("HOME", folder).env("XDG_CACHE_HOME", shared_cache());
        // What would be fetched from the network is taken from here, where it came from.
        let root = format!("url.{}.insteadOf", crate::documents::ROOT);
        let git = [("safe.directory", "*"), (&root, "https://github.com/issuecommand/issuecommand")];
        command.env("GIT_CONFIG_COUNT", git.len().to_string());
        for (number, (key, value)) in git.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok()
        });
        let folder = folder.to_path_buf();
        let mut shell = Self { child, input, said, folder, port: port.map(str::to_owned), beside: Vec::new() };
        // Jobs have process groups of their own, so that each can be ended with all that it started.
        shell.type_in("set -m; exec 2>&1", "");
        shell
    }

    /// Types a text, then a line that tells of its end.
    fn type_in(&mut self, text: &str, place: &str) -> (String, i32) {
        let text = match &self.port {
            Some(port) => text.replace(PORT, port),
            None => text.to_owned(),
        };
        let input = format!("{{ {text}\n}} </dev/null\nprintf '\\n{ENDED} %d\\n' $?\n");
        self.input.write_all(input.as_bytes()).unwrap();
        let (deadline, mut told) = (Instant::now() + PATIENCE, String::new());
        loop {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.strip_prefix(ENDED) {
                    // The line end before it is the shell's.
                    Some(code) => return (told.trim_end().to_owned(), code.trim().parse().unwrap()),
                    None => told.extend([line.as_str(), "\n"]),
                },
                Err(why) => panic!("{place}: the commands did not come to their end ({why}):\n{told}"),
            }
        }
    }

    /// Runs a block; every command in it must go well, or say what stands below it.
    pub fn run(&mut self, block: &Block) -> String {
        let place = &block.place;
        if let Way::UntilEnded(said) = block.way() {
            return self.begin(block, said);
        }
        if block.language != "console" {
            let (told, code) = self.type_in(&format!("set -euo pipefail\n{}set +e", block.text), place);
            assert_eq!(code, 0, "{place}: {told}");
            return told;
        }
        for example in block.text.split("$ ").skip(1) {
            let (command, output) = example.split_once('\n').unwrap();
            let (told, _) = self.type_in(command, place);
            assert_eq!(alike(&told, output), Ok(()), "{place}: $ {command}\n{told}");
        }
        String::new()
    }

    /// Begins what goes on until it is ended, and waits until it has said something.
    fn begin(&mut self, block: &Block, said: &str) -> String {
        let log = self.folder.join(format!("beside-{}.log", self.beside.len()));
        let (group, _) = self.type_in(&format!("{{ {}}} >{} 2>&1 & echo $!", block.text, log.display()), &block.place);
        self.beside.push(group.lines().last().unwrap_or_default().to_owned());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains(said) {
                let port = text.split("http://127.0.0.1:").nth(1).map(digits).filter(|port| !port.is_empty());
                self.port = port.or(self.port.take());
                return text;
            }
            assert!(Instant::now() < deadline, "{} never said {said:?}: {text}", block.place);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for group in &self.beside {
            let _ = Command::new("kill").args(["-TERM", "--", &format!("-{group}")]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn digits(text: &str) -> String {
    text.chars().take_while(char::is_ascii_digit).collect()
}

/// Whether an output is the one that a document shows, but for ids, times and spans, which are never the same.
/// A line `...` stands for any lines.
///
/// # Errors
/// The first line that was expected and did not come, and what came in its place.
fn alike(told: &str, shown: &str) -> Result<(), String> {
    let mut told = told.lines().map(plain).peekable();
    let mut leaps = false;
    for line in shown.lines().map(plain) {
        if line == "..." {
            leaps = true;
            continue;
        }
        while leaps && told.peek().is_some_and(|it| *it != line) {
            told.next();
        }
        let came = told.next();
        if came.as_deref() != Some(&line) {
            return Err(format!("expected {line:?}, came {came:?}"));
        }
        leaps = false;
    }
    match told.next().filter(|_| !leaps) {
        Some(more) => Err(format!("there is more: {more:?}")),
        None => Ok(()),
    }
}

/// A line with its blanks as one, and signs for what differs each time.
fn plain(line: &str) -> String {
    line.split_whitespace().map(sign).collect::<Vec<_>>().join(" ")
}

fn sign(word: &str) -> &str {
    let bare = word.trim_end_matches([',', ';', '.', ':']);
    let is_id = bare.len() >= 8
        && bare.bytes().any(|b| b.is_ascii_digit())
        && bare.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    let is_time = bare.len() >= 5 && bare.contains(':') && bare.bytes().all(|b| b == b':' || b.is_ascii_digit());
    let is_span = bare.trim_end_matches(['s', 'm', 'h', 'd']).bytes().all(|b| b.is_ascii_digit())
        && bare.starts_with(|first: char| first.is_ascii_digit())
        && bare.ends_with(['s', 'm', 'h', 'd']);
    match (is_id || is_time, is_span) {
        (true, _) => "(id)",
        (_, true) => "(span)",
        _ => word,
    }
}

#[test]
fn what_is_shown_is_what_is_told_but_for_ids_and_times() {
    let told = "a  01a2037c-c31a-70ae\n\n  5s  119m   12:30 x#7";
    assert_eq!(alike(told, "a 01a2037c-0000-0000\n\n  2m 1h 13:31:22 x#7\n"), Ok(()));
    assert_eq!(alike(told, "...\n2m 1h 13:31 x#7\n"), Ok(()));
    assert_eq!(alike(told, "a 01a2037c\n...\n"), Ok(()));
    for wrong in ["a 01a2037c\n\n2m 1h 13:31 x#8\n", "a 01a2037c\n", "...\nx\n", "", "b 01a2037c\n...\n"] {
        assert!(alike(told, wrong).is_err(), "{wrong}");
    }
}
