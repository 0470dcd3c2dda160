//! A program in a container that outlives this process: whoever comes back reads on where it left off.
//!
//! Beside the container's other small files it has, all named after it: a pipe that is its input, files with what it
//! printed, its process group, and where in its output the present turn began. The end of a program stands in its
//! output, as a line that begins with [`END_MARK`], so that nobody needs to look whether it still runs.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::{AgentError, Ground};
use crate::dispatch::container::{ContainerState, Exec};

/// Longest line that is handed out whole, in bytes. Agents repeat whole conversations in one line.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// How much of a longer line is handed out, in bytes.
pub const CUT_LINE_BYTES: usize = 1 << 10;
/// Longest silence of a program until it is looked whether it is still there, in seconds.
pub const SILENT_SECONDS: u64 = 20;
/// Most bytes of its error output that are told to people.
const ERROR_BYTES_MAX: u32 = 2000;
/// Longest time for one short command in a container, in seconds; machines are busy when many agents start.
const EXEC_SECONDS_MAX: u64 = 60;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// What the line with a program's end begins with: a control character that no agent prints.
const END_MARK: &str = "\u{1e}exited ";

/// Starts the program in a session of its own. What it must not keep from us it gets on standard input: variables,
/// each value in base64, up to an empty line. An earlier program of the conversation has ten seconds to end, so that
/// the end of its output is before the turn that begins. A trap, so that ending the whole group leaves the shell that tells of it.
const START: &str = include_str!("detached/start.sh");

/// The files of a program that is not started yet.
const PREPARE: &str = r#"umask 077; touch "$1.out" "$1.err" && echo 0 > "$1.turn""#;

/// Prints what was printed since byte `$2`, and then all that comes. It ends when its own input does, which
/// is when we are gone: nothing is left behind by us in the container.
const FOLLOW: &str = r#"tail -c "+$2" -f "$1.out" & cat > /dev/null; kill $!"#;

/// Puts all of its input, `$2` bytes, into the pipe, or nothing: half a line would spoil the next one.
const SAY: &str = include_str!("detached/say.sh");

/// Where the present turn began, how much was printed, and whether the program's group still has a process in it.
const LOOK: &str = include_str!("detached/look.sh");

/// A program to start detached.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program and its arguments, after what enters the environment; never a secret.
    pub argv: Vec<String>,
    /// Variables beside those of the ground; nothing secret.
    pub env: BTreeMap<String, String>,
    /// What it reads.
    pub input: Input,
    /// A script of `sed` that shortens the lines it prints, for all of them are kept, in memory. None if empty, and
    /// where there is only a `sed` that waits for more before it prints.
    pub filter: &'static str,
}

/// What a detached program reads from standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Whatever is said to it, for as long as it lives.
    Said,
    /// A file in the container, to its end.
    File(String),
    /// Nothing.
    Nothing,
}

/// What a detached program printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    /// A line, without its end.
    Line(String),
    /// The beginning of a line that is longer than [`LINE_BYTES_MAX`].
    CutLine(String),
    /// Nothing for [`SILENT_SECONDS`], and it is still there.
    Nothing,
    /// It ended, with this code.
    End(i32),
}

/// What was found of a detached program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// A turn began after what was read.
    pub turn_is_new: bool,
    /// It runs, or has printed something that was not read.
    pub has_more: bool,
}

/// A detached program, and how far its output was read.
#[derive(Debug)]
pub struct Detached {
    agent: &'static str,
    ground: Ground,
    base: String,
    /// All before it was handed out.
    offset: u64,
    reader: Option<Reader>,
    buffer: Vec<u8>,
    /// How far the buffer was searched for the end of a line.
    searched: usize,
    /// The rest of a line that was too long is passed over.
    passing_over: bool,
}

/// The reading end: when it is dropped, the program that reads in the container ends by itself.
#[derive(Debug)]
struct Reader {
    printed: ChildStdout,
    _lifeline: ChildStdin,
    _child: Child,
}

impl Detached {
    /// Starts a program. Its output begins where that of an earlier one of this agent ended.
    pub async fn start(agent: &'static str, ground: &Ground, program: &Program) -> Result<Self, AgentError> {
        let mut detached = Self::at(agent, ground, 0);
        detached.start_again(program).await?;
        Ok(detached)
    }

    /// A place for programs to come, each started by [`Detached::start_again`].
    pub async fn prepare(agent: &'static str, ground: &Ground) -> Result<Self, AgentError> {
        let detached = Self::at(agent, ground, 0);
        let output = detached.exec(&Exec::script(PREPARE, &[&detached.base]), &[]).await?;
        detached.expect_success("prepare its files", &output)?;
        Ok(detached)
    }

    /// Starts the next program of the same conversation, after the last one ended. It begins a turn.
    pub async fn start_again(&mut self, program: &Program) -> Result<(), AgentError> {
        let input = match &program.input {
            Input::Said => "pipe",
            Input::File(path) => path,
            Input::Nothing => "/dev/null",
        };
        let argv = self.ground.environment.iter().chain(&program.argv).map(String::as_str);
        let arguments: Vec<&str> = [self.base.as_str(), input, program.filter].into_iter().chain(argv).collect();
        let places = self.ground.runtime.places(&self.ground.container);
        let exec = Exec::script(START, &arguments).with_input().within(&places.workspace);
        let variables = variables(self.agent, &self.ground, &program.env)?;
        let output = self.exec(&exec, variables.as_bytes()).await?;
        self.expect_success("start", &output)?;
        let turn = String::from_utf8_lossy(&output.stdout).trim().parse();
        self.skip_to(turn.map_err(|_| self.failed("start", "it was not told where its output begins"))?);
        Ok(())
    }

    /// Comes back to a program that was started earlier, and reads on at `offset`, or where its present turn began
    /// if that is later.
    pub async fn attach(agent: &'static str, ground: &Ground, offset: u64) -> Result<(Self, Attached), AgentError> {
        let mut detached = Self::at(agent, ground, offset);
        let look = detached.look().await?;
        detached.offset = offset.max(look.turn);
        let has_more = look.runs || look.printed > detached.offset;
        Ok((detached, Attached { turn_is_new: look.turn > offset, has_more }))
    }

    fn at(agent: &'static str, ground: &Ground, offset: u64) -> Self {
        let base = format!("{}/{agent}", ground.runtime.places(&ground.container).run);
        let (ground, buffer) = (ground.clone(), Vec::new());
        Self { agent, ground, base, offset, reader: None, buffer, searched: 0, passing_over: false }
    }

    /// How many bytes of the output were handed out.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes a file of this agent's in the container, and answers where it is.
    pub async fn write(&self, ending: &str, text: &str) -> Result<String, AgentError> {
        let path = format!("{}.{ending}", self.base);
        write_file(self.agent, &self.ground, &path, text).await?;
        Ok(path)
    }

    /// Puts more to the end of a file of this agent's in the container, and answers where it is.
    pub async fn append(&self, ending: &str, text: &str) -> Result<String, AgentError> {
        let path = format!("{}.{ending}", self.base);
        put_file(self.agent, &self.ground, r#"umask 077; cat >> "$1""#, &path, text).await?;
        Ok(path)
    }

    /// Writes one line into its standard input. `begins_turn` is noted first, for those who attach.
    pub async fn say(&self, line: &str, begins_turn: bool) -> Result<(), AgentError> {
        let text = format!("{line}\n");
        let mark = if begins_turn { "turn" } else { "same" };
        let exec = Exec::script(SAY, &[&self.base, &text.len().to_string(), mark]).with_input();
        let output = self.exec(&exec, text.as_bytes()).await?;
        self.expect_success("be told something", &output)
    }

    /// The next thing it printed. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Printed, AgentError> {
        loop {
            if let Some(printed) = self.take_line() {
                return Ok(printed);
            }
            if self.reader.is_none() {
                self.reader = Some(self.follow()?);
            }
            let reader = self.reader.as_mut().expect("it was opened above");
            self.buffer.reserve(READ_BYTES);
            match timeout(Duration::from_secs(SILENT_SECONDS), reader.printed.read_buf(&mut self.buffer)).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => {
                    // The reader ended, not the program: its container may be gone. What it read stays.
                    self.reader = None;
                    self.expect_alive().await?;
                    return Ok(Printed::Nothing);
                }
                Err(_) => {
                    self.expect_alive().await?;
                    return Ok(Printed::Nothing);
                }
            }
        }
    }

    /// Passes over what was printed before.
    fn skip_to(&mut self, offset: u64) {
        self.offset = offset;
        self.reader = None;
        self.buffer.clear();
        self.searched = 0;
        self.passing_over = false;
    }

    /// Stops reading until the next call of [`Detached::next`].
    pub fn rest(&mut self) {
        self.reader = None;
    }

    /// Tells it and all that it started to end. They may not: then the container must go.
    pub async fn terminate(&self) -> Result<(), AgentError> {
        let script = r#"kill -TERM "-$(cat "$1.group")""#;
        // A program that ended meanwhile is no failure.
        self.exec(&Exec::script(script, &[&self.base]), &[]).await.map(drop)
    }

    /// Whether any process of it is left.
    pub async fn is_running(&self) -> Result<bool, AgentError> {
        Ok(self.look().await?.runs)
    }

    /// The end of what it printed as errors, for people.
    pub async fn last_words(&self) -> String {
        let script = r#"tail -c "$2" "$1.err""#;
        let exec = Exec::script(script, &[&self.base, &ERROR_BYTES_MAX.to_string()]);
        let output = self.exec(&exec, &[]).await;
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        if text.is_empty() { "it printed no error".to_owned() } else { text }
    }

    fn take_line(&mut self) -> Option<Printed> {
        loop {
            let Some(end) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') else {
                self.searched = self.buffer.len();
                return (self.searched > LINE_BYTES_MAX).then(|| self.cut()).flatten();
            };
            let end = self.searched + end;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            self.searched = 0;
            self.offset += line.len() as u64;
            if std::mem::take(&mut self.passing_over) || end == 0 {
                continue;
            }
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            let code = line.strip_prefix(END_MARK).and_then(|code| code.parse().ok());
            return Some(code.map_or(Printed::Line(line), Printed::End));
        }
    }

    /// Throws away what is buffered of a line that is too long, and hands out its beginning the first time.
    fn cut(&mut self) -> Option<Printed> {
        let head = String::from_utf8_lossy(&self.buffer[..CUT_LINE_BYTES]).into_owned();
        self.offset += self.buffer.len() as u64;
        self.buffer = Vec::new();
        self.searched = 0;
        (!std::mem::replace(&mut self.passing_over, true)).then_some(Printed::CutLine(head))
    }

    fn follow(&self) -> Result<Reader, AgentError> {
        // What is in the buffer was read, though not handed out.
        let from = self.offset + self.buffer.len() as u64 + 1;
        let exec = Exec::script(FOLLOW, &[&self.base, &from.to_string()]).with_input();
        let mut command = self.ground.runtime.command(&self.ground.container, &exec);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|why| self.failed("be read", &why.to_string()))?;
        let lifeline = child.stdin.take().expect("stdin is piped");
        let printed = child.stdout.take().expect("stdout is piped");
        Ok(Reader { printed, _lifeline: lifeline, _child: child })
    }

    async fn look(&self) -> Result<Look, AgentError> {
        let output = self.exec(&Exec::script(LOOK, &[&self.base]), &[]).await?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = told.split_ascii_whitespace();
        let mut number = || words.next().and_then(|number| number.parse().ok());
        let (turn, printed) = (number(), number().unwrap_or_default());
        let turn = turn.ok_or_else(|| AgentError::Gone {
            agent: self.agent,
            why: "it was never started here".into(),
            out_of_memory: false,
        })?;
        Ok(Look { turn, printed, runs: words.next() == Some("runs") })
    }

    async fn expect_alive(&self) -> Result<(), AgentError> {
        let gone = |why: &str| AgentError::Gone { agent: self.agent, why: why.to_owned(), out_of_memory: false };
        match self.ground.runtime.state(&self.ground.container).await? {
            ContainerState::Running => {
                let look = self.look().await?;
                // Its last line may have been written since we read.
                let is_unread = look.printed > self.offset + self.buffer.len() as u64;
                if look.runs || is_unread { Ok(()) } else { Err(gone("it was killed, and what watched it too")) }
            }
            ContainerState::Exited { out_of_memory: true, .. } => {
                let why = "its container ran out of memory".to_owned();
                Err(AgentError::Gone { agent: self.agent, why, out_of_memory: true })
            }
            ContainerState::Exited { code, .. } => Err(gone(&format!("its container ended with code {code}"))),
            ContainerState::Absent => Err(gone("its container is gone")),
        }
    }

    async fn exec(&self, exec: &Exec, input: &[u8]) -> Result<Output, AgentError> {
        run(self.agent, &self.ground, exec, input).await
    }

    fn expect_success(&self, what: &str, output: &Output) -> Result<(), AgentError> {
        if output.status.success() { Ok(()) } else { Err(self.failed(what, &said(output))) }
    }

    fn failed(&self, what: &str, why: &str) -> AgentError {
        AgentError::Refused { agent: self.agent, what: what.to_owned(), why: why.to_owned() }
    }
}

struct Look {
    turn: u64,
    printed: u64,
    runs: bool,
}

/// Writes a file in the container that nobody but the agent's user reads.
pub async fn write_file(agent: &'static str, ground: &Ground, path: &str, text: &str) -> Result<(), AgentError> {
    put_file(agent, ground, r#"umask 077; cat > "$1""#, path, text).await
}

async fn put_file(
    agent: &'static str,
    ground: &Ground,
    script: &str,
    path: &str,
    text: &str,
) -> Result<(), AgentError> {
    let output = run(agent, ground, &Exec::script(script, &[path]).with_input(), text.as_bytes()).await?;
    let refused = || AgentError::Refused { agent, what: format!("be given {path}"), why: said(&output) };
    if output.status.success() { Ok(()) } else { Err(refused()) }
}

/// Runs a short command in the container, and waits for its end.
async fn run(agent: &'static str, ground: &Ground, exec: &Exec, input: &[u8]) -> Result<Output, AgentError> {
    let failed = |why: String| AgentError::Refused { agent, what: "be reached in its container".into(), why };
    let mut command = ground.runtime.command(&ground.container, exec);
    command.stdin(if exec.takes_input { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let talk = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without reading all: its exit code tells.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    match timeout(Duration::from_secs(EXEC_SECONDS_MAX), talk).await {
        Ok(output) => output.map_err(|why| failed(why.to_string())),
        Err(_) => Err(failed(format!("a command did not end within {EXEC_SECONDS_MAX} seconds"))),
    }
}

/// What enters the agent's environment, as [`START`] reads it.
fn variables(agent: &'static str, ground: &Ground, own: &BTreeMap<String, String>) -> Result<String, AgentError> {
    let open = own.iter().chain(&ground.env).map(|(name, value)| (name, value.as_str()));
    let secret = ground.secrets.iter().map(|(name, value)| (name, value.expose()));
    let mut text = String::new();
    for (name, value) in open.chain(secret) {
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if !is_name {
            let why = format!("{name:?} is no name of a variable: letters, digits and _ make one");
            return Err(AgentError::NotStarted { agent, why });
        }
        text += &format!("{name}={}\n", BASE64_STANDARD.encode(value));
    }
    Ok(text + "\n")
}

fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    let last = error.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(|| format!("it ended with {}", output.status), |line| line.trim().to_owned())
}

#[cfg(test)]
mod tests;
