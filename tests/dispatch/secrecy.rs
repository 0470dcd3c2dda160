//! Where secrets are not: after and during a run, none is found in what podman keeps, in command lines, logs, images,
//! the database or the dispatcher's folder; and GitHub's token never enters the container.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::image::AGENT_IMAGE;
use crate::world::{MODEL_KEY, TOKEN, World};

/// The wait between two looks at all command lines, in milliseconds: far less than git takes to push.
const LOOK_MS: u64 = 15;
/// What is put where secrets must not be, to see that it would be found.
const PLANTED: &str = "pl4nted-on-purpose";
/// Prints the environment of each of the agent's processes.
const ENVIRONMENTS: &str = r"cat /proc/[0-9]*/environ 2> /dev/null | tr '\0' '\n'";

/// What must not be found, by name.
struct Needles(Vec<(&'static str, String)>);

impl Needles {
    fn of(password: &str) -> Self {
        // git sends the token like this.
        let encoded = BASE64_STANDARD.encode(format!("x-access-token:{TOKEN}"));
        let needles = [("the token", TOKEN), ("the model's key", MODEL_KEY), ("the password", password)];
        let needles = needles.into_iter().chain([("the token as git sends it", encoded.as_str())]);
        Self(needles.map(|(name, needle)| (name, needle.to_owned())).collect())
    }

    fn planted() -> Self {
        Self(vec![("what was planted", PLANTED.to_owned())])
    }

    fn in_text(&self, text: &str) -> Vec<&'static str> {
        self.0.iter().filter(|(_, needle)| text.contains(needle.as_str())).map(|(name, _)| *name).collect()
    }

    /// Files that hold one, in folders of which some may not be there.
    fn in_folders(&self, folders: &[PathBuf]) -> String {
        let mut grep = Command::new("grep");
        grep.args(["-rlaF", "--devices=skip", "--no-messages", "-f", "-", "--"]);
        grep.args(folders.iter().filter(|folder| folder.exists())).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut grep = grep.spawn().unwrap();
        let needles: Vec<&str> = self.0.iter().map(|(_, needle)| needle.as_str()).collect();
        grep.stdin.take().unwrap().write_all(needles.join("\n").as_bytes()).unwrap();
        String::from_utf8_lossy(&grep.wait_with_output().unwrap().stdout).into_owned()
    }

    /// Everywhere at once: where something was found, and what.
    fn anywhere(&self, world: &World, containers: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        let mut look = |place: &str, text: &str| {
            found.extend(self.in_text(text).into_iter().map(|name| format!("{name} in {place}")));
        };
        for container in containers {
            look("podman inspect", &world.call_podman(&["inspect", container]));
            look("podman logs", &world.call_podman(&["logs", container]));
        }
        for arguments in [&["image", "inspect", AGENT_IMAGE][..], &["image", "history", "--no-trunc", AGENT_IMAGE]] {
            look("the image", &world.call_podman(arguments));
        }
        found.extend(self.in_folders(&folders_of_podman(world)).lines().map(|file| format!("a secret in {file}")));
        found.extend(self.in_folders(&[world.home()]).lines().map(|file| format!("a secret in {file}")));
        found
    }
}

/// Where podman keeps its database, its storage and what runs.
fn folders_of_podman(world: &World) -> Vec<PathBuf> {
    let told = world.call_podman(&["info", "--format={{.Store.GraphRoot}}\n{{.Store.RunRoot}}\n{{.Store.VolumePath}}"]);
    let of_libpod = ["/run/libpod", "/run/crun", "/run/runc"];
    let folders: Vec<PathBuf> = told.lines().chain(of_libpod).map(PathBuf::from).collect();
    assert!(folders[0].is_dir(), "podman says where its storage is: {told}");
    folders
}

/// Looks at the command lines of all processes for as long as it lives.
struct Lookout {
    stop: Sender<()>,
    seen: JoinHandle<BTreeSet<String>>,
}

impl Lookout {
    fn begin() -> Self {
        let (stop, stopped) = mpsc::channel();
        let seen = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while stopped.recv_timeout(Duration::from_millis(LOOK_MS)) == Err(RecvTimeoutError::Timeout) {
                seen.extend(command_lines());
            }
            seen
        });
        Self { stop, seen }
    }

    /// Every command line that was seen.
    fn end(self) -> String {
        drop(self.stop);
        self.seen.join().unwrap().into_iter().collect::<Vec<_>>().join("\n")
    }
}

/// Those of all processes, in containers too.
fn command_lines() -> impl Iterator<Item = String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
}

/// The value of a variable in what [`ENVIRONMENTS`] prints.
fn variable<'e>(environments: &'e str, name: &str) -> &'e str {
    let line = environments.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no process has {name}"))
}

#[tokio::test]
async fn no_secret_is_found_during_a_run_or_after_it() {
    let Some(world) = World::with("opencode").await else { return };
    let lookout = Lookout::begin();
    let number = world.open_issue("question").await;
    let run = world.start_run(number);
    world.until_labelled(number, "agent/waiting").await;

    // The agent has its secrets, and not the token.
    let environments = world.within(ENVIRONMENTS);
    assert_eq!(variable(&environments, "FAKE_LLM_KEY"), MODEL_KEY);
    let needles = Needles::of(variable(&environments, "OPENCODE_SERVER_PASSWORD"));
    let token = |text: &str| needles.in_text(text).into_iter().any(|name| name.starts_with("the token"));
    assert!(!token(&environments), "the token is in a process of the container");
    let encoded = BASE64_STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let search = |needle: &str| {
        // The needle is read, for no command line may hold it.
        world.within_on("grep -rlaF -f - /workspace /run/ic /tmp /home /etc /var 2> /dev/null", needle)
    };
    assert_eq!((search(TOKEN).as_str(), search(&encoded).as_str()), ("", ""));
    world.within(&format!("echo {PLANTED} > /workspace/.git/planted"));
    assert_eq!(search(PLANTED), "/workspace/.git/planted\n");
    world.within("rm .git/planted && git commit --quiet --allow-empty --message='Work so far'");

    let containers = world.containers();
    assert_eq!(needles.anywhere(&world, &containers), Vec::<String>::new(), "during the run");
    let answered = world.ask(&["answer", &world.runs()[0], "hola"]).await;
    assert_eq!(answered.code, Some(0), "{answered:?}");
    let ended = run.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");

    assert_eq!(needles.anywhere(&world, &[]), Vec::<String>::new(), "after the run");
    assert_eq!(needles.in_text(&format!("{}{}{}", ended.out, ended.err, world.logs())), Vec::<&str>::new());
    let lines = lookout.end();
    assert!(lines.contains("issuecommand run ") && lines.contains("podman exec "), "the lookout saw nothing");
    assert!(lines.contains("git") && lines.contains("push"), "the lookout missed the push");
    let told: Vec<&str> = lines.lines().filter(|line| !needles.in_text(line).is_empty()).collect();
    assert_eq!(told, Vec::<&str>::new(), "in a command line");
    only_its_owner_reads(&world.home().join("claims.db.dispatch/key"));
}

fn only_its_owner_reads(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(key).unwrap();
    assert!(text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()), "it holds its own key alone");
}

/// The other half of the proof: whatever is where it should not be is found.
#[tokio::test]
async fn what_is_planted_is_found_wherever_secrets_are_looked_for() {
    let Some(world) = World::with("opencode").await else { return };
    let needles = Needles::planted();
    assert_eq!(needles.anywhere(&world, &[]), Vec::<String>::new());
    let variable = format!("PLANTED={PLANTED}");
    let made = world.call_podman(&["create", "--env", &variable, AGENT_IMAGE, "true"]);
    let container = made.trim().to_owned();
    fs::write(world.home().join("planted"), PLANTED).unwrap();
    let lookout = Lookout::begin();
    let shown = Command::new("sh").args(["-c", "sleep 0.5", PLANTED]).status();
    let (found, lines) = (needles.anywhere(&world, std::slice::from_ref(&container)), lookout.end());
    world.call_podman(&["rm", "--force", &container]);
    assert!(shown.unwrap().success() && needles.in_text(&lines).len() == 1, "{lines}");
    let is_found = |place: &str| found.iter().any(|found| found.contains(place));
    assert!(is_found("podman inspect") && is_found("home/planted"), "{found:?}");
    let storage = folders_of_podman(&world)[0].display().to_string();
    assert!(is_found(&storage), "{found:?}");
}
