//! A private PostgreSQL, from the machine's own binaries: one for each test process, gone with it.
//!
//! It listens in a folder of its own and nowhere else, and keeps its durability settings: what is tested here is
//! what a crash leaves behind.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use postgres::{Client, NoTls};

/// Makes a server's files, and starts it anew each time a line comes on standard input, whatever became of the one
/// before; takes it and its folder away when standard input ends: that of a test process ends however the process does.
const KEEPER: &str = r#"
set -e
bin=$1 place=$2
# PostgreSQL refuses to be run by root: then by the user of its package.
as=
if [ "$(id -u)" = 0 ]; then chown postgres "$place"; as='setpriv --reuid=postgres --regid=postgres --clear-groups'; fi
$as "$bin/initdb" -D "$place/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N >/dev/null
start() {
  rm -f "$place"/.s.PGSQL.5432 "$place"/.s.PGSQL.5432.lock
  $as "$bin/postgres" -D "$place/data" -k "$place" -c listen_addresses= -c max_connections=300 \
    -c unix_socket_permissions=0777 >/dev/null 2>&1 &
  server=$!
}
is_ready() { [ "$(head -n 1 "$place/data/postmaster.pid")" = "$server" ] && grep -q ready "$place/data/postmaster.pid"; }
while read -r _; do
  start
  tries=0
  until is_ready 2>/dev/null; do
    # Processes of one that crashed may hold its memory for a moment.
    kill -0 $server 2>/dev/null || { tries=$((tries + 1)); [ $tries -lt 50 ]; sleep 0.2; start; }
    sleep 0.05
  done
  echo $server
done
kill -QUIT $server 2>/dev/null || true
wait $server || true
rm -rf "$place"
"#;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    place: PathBuf,
    keeper: Mutex<Keeper>,
    databases: AtomicU32,
}

#[derive(Debug)]
struct Keeper {
    _process: Child,
    ask: ChildStdin,
    said: BufReader<ChildStdout>,
    server: String,
}

impl Keeper {
    fn start_server(&mut self) {
        writeln!(self.ask).unwrap();
        let mut said = String::new();
        self.said.read_line(&mut said).unwrap();
        assert!(!said.trim().is_empty(), "PostgreSQL did not start; what it said is above");
        self.server = said.trim().to_owned();
    }
}

impl Postgres {
    /// The server of this process; `None`, and it says so, where the machine has no PostgreSQL.
    pub fn of_this_process() -> Option<Arc<Self>> {
        static SERVER: OnceLock<Option<Arc<Postgres>>> = OnceLock::new();
        SERVER.get_or_init(|| Self::start().map(Arc::new)).clone()
    }

    /// Another server.
    pub fn start() -> Option<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// Another server, whose files are in this folder.
    pub fn start_in(folder: &Path) -> Option<Self> {
        let Some(bin) = binaries() else {
            eprintln!("skipped: there is no PostgreSQL here (install the package postgresql)");
            return None;
        };
        let place = tempfile::Builder::new().prefix("issuecommand-postgres-").tempdir_in(folder).unwrap().keep();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&bin).arg(&place).current_dir("/");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ask, said) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut keeper = Keeper { _process: process, ask, said, server: String::new() };
        keeper.start_server();
        Some(Self { place, keeper: Mutex::new(keeper), databases: AtomicU32::new(0) })
    }

    /// Ends it as `kill -9` of all its processes does: nothing is written down any more.
    pub fn crash(&self) {
        let server = self.keeper.lock().unwrap().server.clone();
        // Those that serve its clients are its children: they notice that it is gone, and answer until then.
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let all: Vec<_> = std::iter::once(server.as_str()).chain(children.split_whitespace()).collect();
        // One of them may have ended by itself.
        assert!(Command::new("kill").arg("-KILL").args(&all).output().is_ok());
        // That it is gone is nothing that it tells.
        while Client::connect(&self.url("postgres"), NoTls).is_ok() {
            sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again on what the crash left.
    pub fn recover(&self) {
        self.keeper.lock().unwrap().start_server();
    }

    /// A new, empty database; its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // It opens its door a moment before it lets anybody in.
        let mut client = loop {
            match Client::connect(&self.url("postgres"), NoTls) {
                Err(error) if error.code() == Some(&postgres::error::SqlState::CANNOT_CONNECT_NOW) => {}
                connected => break connected.unwrap(),
            }
            sleep(Duration::from_millis(20));
        };
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        let place = self.place.to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{place}/{database}")
    }
}

/// Where the programs are: Debian keeps them out of the path.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|folder| has(folder, "initdb") && has(folder, "postgres"))
}

fn has(folder: &Path, program: &str) -> bool {
    folder.join(program).is_file()
}
