//! Containers of podman: what holds them, and what they cannot do.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use issuecommand::dispatch::container::{
    ContainerError, ContainerId, ContainerRuntime, ContainerSpec, ContainerState, Exec, Limits, Mount, Podman,
};
use tokio::io::AsyncWriteExt;

use super::image::{AGENT_IMAGE, BASE_IMAGE, podman, podman_with, podman_with_agents, podman_with_base, settings};

/// Longest wait for what must come.
const DEADLINE: Duration = Duration::from_secs(30);
const MEMORY_BYTES: u64 = 192 << 20;
const PIDS: u32 = 40;

/// A container of a test; it goes when the test does.
pub struct Bed {
    pub podman: Podman,
    program: String,
    pub id: ContainerId,
}

impl Bed {
    /// One as the dispatcher would make it, or `None` where it cannot be made, after a line that says why.
    async fn make(test: &str) -> Option<Self> {
        let program = podman_with_agents()?;
        Some(Self::of(program, spec(test)).await)
    }

    pub async fn of(program: String, spec: ContainerSpec) -> Self {
        let podman = Podman::new(program.clone(), None);
        let id = podman.start(&spec).await.unwrap();
        Self { podman, program, id }
    }

    /// What a script printed within, and how it ended.
    async fn script(&self, text: &str) -> Output {
        self.podman.command(&self.id, &Exec::script(text, &[])).stdin(Stdio::null()).output().await.unwrap()
    }

    /// What a script printed that must end well.
    pub async fn printed(&self, text: &str) -> String {
        let output = self.script(text).await;
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What podman itself says.
    fn asked(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.program).args(arguments).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }

    fn kill(&self, state: &str) {
        let pid = self.asked(&["inspect", "--format", &format!("{{{{.State.{state}}}}}"), &self.id.0]);
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success(), "{state} {pid}");
    }

    async fn reaches(&self, expected: impl Fn(ContainerState) -> bool) -> ContainerState {
        let began = Instant::now();
        loop {
            let state = self.podman.state(&self.id).await.unwrap();
            if expected(state) {
                return state;
            }
            assert!(began.elapsed() < DEADLINE, "still {state:?}");
            // podman says when a container ends to who waits for that alone, not for what the test expects.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for _ in 0..3 {
            let removed = Command::new(&self.program).args(["rm", "--force", "--volumes", &self.id.0]).output();
            if removed.is_ok_and(|output| output.status.success()) {
                break;
            }
        }
    }
}

/// Names a server of this test alone: tests run side by side.
fn server_of(test: &str) -> String {
    format!("test-{}-{test}", std::process::id())
}

pub fn spec(test: &str) -> ContainerSpec {
    ContainerSpec {
        name: format!("issuecommand-{}-1", server_of(test)),
        server: server_of(test),
        run: format!("run-of-{test}"),
        epoch: 7,
        image: AGENT_IMAGE.into(),
        limits: Limits { cpus: 0.5, memory_bytes: MEMORY_BYTES, pids: PIDS },
        network: "bridge".into(),
        port: None,
        mounts: Vec::new(),
        env: BTreeMap::new(),
    }
}

#[tokio::test]
async fn limits_are_seen_within() {
    let Some(bed) = Bed::make("limits").await else { return };
    if !bed.podman.probe().await.unwrap().limits_enforced {
        return eprintln!("skipped: podman enforces no limits here");
    }
    let memory = "cd /sys/fs/cgroup; cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes";
    assert_eq!(bed.printed(memory).await, MEMORY_BYTES.to_string());
    let pids = "cd /sys/fs/cgroup; cat pids.max 2>/dev/null || cat pids/pids.max";
    assert_eq!(bed.printed(pids).await, PIDS.to_string());
    let cpus = "cd /sys/fs/cgroup; cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us";
    assert_eq!(bed.printed(cpus).await.split_whitespace().collect::<Vec<_>>(), ["50000", "100000"]);
    let usage = bed.podman.usage(&bed.id).await.unwrap().unwrap();
    assert!((1..MEMORY_BYTES).contains(&usage.memory_bytes) && usage.pids >= 2 && usage.oom_kills == 0, "{usage:?}");
}

#[tokio::test]
async fn an_agent_has_no_capability_and_gains_none() {
    let Some(bed) = Bed::make("rights").await else { return };
    assert_eq!(bed.printed("id -u").await, "1000");
    let status = bed.printed("cat /proc/self/status").await;
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(of(capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!(of("NoNewPrivs:"), "1");
    assert!(!bed.script("mount -t tmpfs none /mnt").await.status.success());
    assert!(!bed.script("echo x > /etc/passwd").await.status.success());
}

#[tokio::test]
async fn more_processes_than_allowed_are_refused_and_the_container_lives_on() {
    let Some(bed) = Bed::make("pids").await else { return };
    if !bed.podman.probe().await.unwrap().limits_enforced {
        return eprintln!("skipped: podman enforces no limits here");
    }
    let output = bed.script("for i in $(seq 100); do sleep 20 & done").await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("fork"), "{said}");
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Running);
}

#[tokio::test]
async fn folders_are_read_only_and_volumes_are_shared() {
    let Some(program) = podman_with_agents() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tool"), "of this machine").unwrap();
    let volume = server_of("volume");
    let with_mounts = |name: &str| ContainerSpec {
        mounts: vec![
            Mount::Folder { from: folder.path().into(), to: "/opt/tools".into() },
            Mount::Volume { name: volume.clone(), to: "/nix".into() },
        ],
        ..spec(name)
    };
    let first = Bed::of(program.clone(), with_mounts("mounts-1")).await;
    let second = Bed::of(program.clone(), with_mounts("mounts-2")).await;
    assert_eq!(first.printed("cat /opt/tools/tool").await, "of this machine");
    let refused = first.script("echo x > /opt/tools/tool").await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Read-only"), "{refused:?}");
    first.printed("mkdir -p /nix/store; echo fetched once > /nix/store/it").await;
    assert_eq!(second.printed("cat /nix/store/it").await, "fetched once");
    drop((first, second));
    let kept = Command::new(&program).args(["volume", "rm", &volume]).status().unwrap();
    assert!(kept.success(), "a volume with a name outlives its containers");
}

#[tokio::test]
async fn small_files_are_in_memory_bounded_and_no_programs() {
    let Some(bed) = Bed::make("places").await else { return };
    let places = bed.podman.places(&bed.id);
    let mount = bed.printed(&format!("grep ' {} ' /proc/mounts", places.run)).await;
    for word in ["tmpfs", "noexec", "nosuid", "nodev", "size="] {
        assert!(mount.contains(word), "{word}: {mount}");
    }
    let pipe = format!("cd {}; mkfifo p; (echo through > p &); cat p", places.run);
    assert_eq!(bed.printed(&pipe).await, "through");
    bed.printed(&format!("touch {}/file", places.workspace)).await;
}

#[tokio::test]
async fn a_published_port_is_reached_on_a_loopback_address_alone() {
    let Some(program) = podman_with_agents() else { return };
    let bed = Bed::of(program, ContainerSpec { port: Some(4096), ..spec("port") }).await;
    let address = bed.podman.address(&bed.id, 4096).await.unwrap();
    assert!(address.ip().is_loopback(), "{address}");
    let published = bed.asked(&["port", &bed.id.0]);
    assert!(published.ends_with(&format!("127.0.0.1:{}", address.port())), "{published}");
    let serve = "require('http').createServer((_, answer) => answer.end('from within')).listen(4096, '0.0.0.0')";
    let exec = Exec { argv: ["node", "-e", serve].map(str::to_owned).into(), ..Exec::default() };
    let mut server = bed.podman.command(&bed.id, &exec).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let began = Instant::now();
    let said = loop {
        if let Ok(answer) = reqwest::get(format!("http://{address}")).await {
            break answer.text().await.unwrap();
        }
        assert!(began.elapsed() < DEADLINE, "nobody answers on {address}");
        // A server within a container tells nobody outside that it listens.
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(said, "from within");
    server.kill().await.unwrap();
}

#[tokio::test]
async fn a_container_of_another_server_is_never_listed() {
    let Some(bed) = Bed::make("list").await else { return };
    let rows = bed.podman.list(&server_of("list")).await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&row.id, row.run.as_str(), row.epoch, row.running), (&bed.id, "run-of-list", 7, true));
    for other in ["list-2", "lis", "lis*", ".*", ""] {
        assert_eq!(bed.podman.list(&server_of(other)).await.unwrap(), [], "{other}");
    }
}

#[tokio::test]
async fn a_container_is_removed_once_and_again() {
    let Some(bed) = Bed::make("remove").await else { return };
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Running);
    bed.podman.remove(&bed.id).await.unwrap();
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Absent);
    bed.podman.remove(&bed.id).await.unwrap();
    assert_eq!(bed.podman.list(&server_of("remove")).await.unwrap(), []);
}

#[tokio::test]
async fn a_program_that_memory_cost_is_told_from_one_that_failed() {
    let Some(bed) = Bed::make("memory").await else { return };
    if !bed.podman.probe().await.unwrap().limits_enforced {
        return eprintln!("skipped: podman enforces no limits here");
    }
    assert_eq!(bed.script("exit 137").await.status.code(), Some(137));
    assert_eq!(bed.podman.usage(&bed.id).await.unwrap().unwrap().oom_kills, 0, "a code alone proves nothing");
    let hog = bed.script("exec node -e 'const kept = []; for (;;) kept.push(Buffer.alloc(1 << 24, 1))'").await;
    assert_eq!(hog.status.code(), Some(137));
    assert!(bed.podman.usage(&bed.id).await.unwrap().unwrap().oom_kills >= 1);
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Running, "the container itself lives on");
}

#[tokio::test]
async fn how_a_container_ended_is_told() {
    let Some(bed) = Bed::make("ended").await else { return };
    bed.printed("kill -TERM $(pgrep -x sleep)").await;
    let ended = bed.reaches(|state| state != ContainerState::Running).await;
    assert_eq!(ended, ContainerState::Exited { code: 143, out_of_memory: false });
    let Some(bed) = Bed::make("killed").await else { return };
    bed.kill("Pid");
    let killed = bed.reaches(|state| state != ContainerState::Running).await;
    assert_eq!(killed, ContainerState::Exited { code: 137, out_of_memory: true });
}

#[tokio::test]
async fn a_container_that_nobody_watches_over_any_more_is_found_out_and_removed() {
    let Some(bed) = Bed::make("orphan").await else { return };
    bed.kill("ConmonPid");
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Running, "it lives on");
    bed.kill("Pid");
    assert_eq!(bed.asked(&["inspect", "--format", "{{.State.Running}}", &bed.id.0]), "true", "podman does not notice");
    let ended = bed.reaches(|state| state != ContainerState::Running).await;
    assert_eq!(ended, ContainerState::Exited { code: -1, out_of_memory: false });
    assert!(!bed.podman.list(&server_of("orphan")).await.unwrap()[0].running);
    bed.podman.remove(&bed.id).await.unwrap();
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Absent);
}

#[tokio::test]
async fn who_is_killed_while_piping_leaves_the_end_of_input_behind() {
    let Some(bed) = Bed::make("lifeline").await else { return };
    let exec = Exec::script("echo ready; cat > /dev/null; touch /run/ic/ended", &[]).with_input();
    let mut command = bed.podman.command(&bed.id, &exec);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    tokio::io::AsyncReadExt::read_exact(child.stdout.as_mut().unwrap(), &mut ready).await.unwrap();
    child.kill().await.unwrap();
    bed.printed("for i in $(seq 600); do [ -e /run/ic/ended ] && exit 0; sleep 0.05; done; exit 1").await;
}

#[tokio::test]
async fn what_an_image_lacks_is_told_with_the_way_out() {
    let Some(program) = podman() else { return };
    let podman = Podman::new(program, None);
    let missing = ContainerSpec { image: "localhost/issuecommand-nowhere".into(), ..spec("missing") };
    let error = podman.start(&missing).await.unwrap_err().to_string();
    assert!(error.contains("localhost/issuecommand-nowhere") && error.contains("issuecommand image build"), "{error}");
    if podman_with_base().is_none() {
        return;
    }
    let bare = ContainerSpec { image: BASE_IMAGE.into(), ..spec("bare") };
    let error = podman.start(&bare).await.unwrap_err().to_string();
    assert!(error.contains("/workspace") && error.contains("issuecommand image build --base"), "{error}");
    assert_eq!(podman.list(&server_of("bare")).await.unwrap(), [], "nothing is left of the attempt");
}

#[tokio::test]
async fn a_connection_is_gone_over() {
    if podman_with_agents().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("podman.sock");
    let given = settings().map(|file| fs::read_to_string(file).unwrap()).unwrap_or_default();
    let conf = folder.path().join("containers.conf");
    let destination = format!("[engine.service_destinations.trial]\nuri = \"unix://{}\"\n", socket.display());
    fs::write(&conf, format!("{given}\n{destination}")).unwrap();
    let program = podman_with(&conf, &folder.path().join("podman")).unwrap();
    let mut service = Command::new(&program);
    let service = service.args(["system", "service", "--time=0", &format!("unix://{}", socket.display())]);
    let _service = Ended(service.stderr(Stdio::null()).spawn().unwrap());
    let began = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(began.elapsed() < DEADLINE, "podman serves nobody");
        // Nor does podman say that its socket is there.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let podman = Podman::new(program.clone(), Some("trial".into()));
    let said = podman.probe().await.unwrap().description;
    assert!(said.contains("over the connection trial"), "{said}");
    let id = podman.start(&ContainerSpec { port: Some(80), ..spec("connection") }).await.unwrap();
    let bed = Bed { podman, program: program.clone(), id };
    assert_eq!(bed.printed("id -u").await, "1000");
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Running);
    assert!(bed.podman.address(&bed.id, 80).await.unwrap().ip().is_loopback(), "a socket is of this machine");
    assert_eq!(bed.podman.list(&server_of("connection")).await.unwrap().len(), 1);
    bed.podman.remove(&bed.id).await.unwrap();
    assert_eq!(bed.podman.state(&bed.id).await.unwrap(), ContainerState::Absent);

    let unknown = Podman::new(program, Some("nowhere".into()));
    let error = unknown.start(&spec("nowhere")).await.unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("connection"), "{error}");
}

/// A program that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_machine_without_podman_is_told_what_to_do() {
    let podman = Podman::new("podman-that-is-not-there".into(), None);
    let error = podman.probe().await.unwrap_err();
    assert!(matches!(error, ContainerError::Unusable { .. }));
    let error = error.to_string();
    assert!(error.contains("podman-that-is-not-there") && error.contains("containers.runtime"), "{error}");
}

#[tokio::test]
async fn a_secret_that_is_piped_in_is_found_nowhere() {
    let Some(program) = podman_with_agents() else { return };
    let [secret, control] = [(); 2].map(|()| format!("value-{}", uuid::Uuid::new_v4().simple()));
    let began = tempfile::NamedTempFile::new().unwrap();
    let bed = Bed::of(
        program,
        ContainerSpec { env: BTreeMap::from([("CONTROL".into(), control.clone())]), ..spec("secret") },
    )
    .await;
    // As an agent gets it: a variable of a program that lives on.
    let start = "read -r SECRET; export SECRET; setsid sleep 1000 < /dev/null > /dev/null 2>&1 &";
    let exec = Exec::script(start, &[]).with_input();
    let mut child = bed.podman.command(&bed.id, &exec).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).await.unwrap();
    assert!(child.wait().await.unwrap().success());
    let held = "for i in $(seq 100); do pid=$(pgrep -xf 'sleep 1000') && break; sleep 0.05; done; tr '\\0' '\\n' < /proc/$pid/environ | grep ^SECRET=";
    let held = bed.printed(held).await;
    assert_eq!(held, format!("SECRET={secret}"), "the program has it");

    let told = [
        bed.asked(&["inspect", &bed.id.0]),
        bed.asked(&["logs", &bed.id.0]),
        bed.asked(&["image", "inspect", AGENT_IMAGE]),
        bed.asked(&["history", "--no-trunc", AGENT_IMAGE]),
        bed.asked(&["ps", "--all", "--no-trunc", "--format", "json"]),
        bed.asked(&["events", "--stream=false", "--since=5m"]),
        arguments_of_every_process(),
    ];
    assert!(told[0].contains(&control), "what is no secret is where secrets would be looked for");
    assert!(told.iter().all(|text| !text.contains(&secret)));
    let kept = |value: &str| files_with(&bed, value, began.path());
    assert_ne!(kept(&control), "", "podman keeps variables of containers in its files");
    assert_eq!(kept(&secret), "");
    let id = bed.id.0.clone();
    bed.podman.remove(&bed.id).await.unwrap();
    assert_eq!(kept(&secret), "", "nor after {id} was removed");
}

fn arguments_of_every_process() -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|it| fs::read(it.path().join("cmdline")).ok())
        .map(|it| String::from_utf8_lossy(&it).into_owned())
        .collect()
}

/// The files of podman, changed since then, that hold a value: its database, layers, volumes and what it keeps while
/// containers run.
fn files_with(bed: &Bed, value: &str, since: &std::path::Path) -> String {
    let folders = bed.asked(&["info", "--format", "{{.Store.GraphRoot}} {{.Store.RunRoot}} {{.Store.VolumePath}}"]);
    let mut find = Command::new("find");
    find.args(folders.split_whitespace()).args(["/run/libpod", "-xdev", "-type", "f", "-newer"]).arg(since);
    let output = find.args(["-exec", "grep", "-l", "-a", "-F", value, "{}", "+"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
