//! Agents race for issues while servers are killed, stopped and cut off from their database; every answer is checked
//! against one order of all calls. A short race by default; `cargo test --release --test server soak -- --ignored
//! --nocapture` runs as many attempts and kills as SOAK_ATTEMPTS and SOAK_KILLS say: a million and a thousand.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Home, PATIENCE, Server, issue};
use super::history::{Answer, Call, History, Op};
use super::postgres::Postgres;

/// Few issues for many agents: nearly every call meets another.
const ISSUES: u64 = 24;
const AGENTS: usize = 12;
/// A client that waits for less may hear of another answer than that of its first try, which still waits for a lock.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// What is asked of a race.
#[derive(Debug, Clone, Copy)]
struct Wish {
    attempts: u64,
    kills: u64,
    /// Between two troubles.
    peace: Duration,
}

impl Wish {
    const SHORT: Self = Self { attempts: 3_000, kills: 10, peace: Duration::from_millis(400) };

    fn long() -> Self {
        let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
        let (attempts, kills) = (number("SOAK_ATTEMPTS", 1_000_000), number("SOAK_KILLS", 1_000));
        Self { attempts, kills, peace: Duration::from_millis(300) }
    }
}

/// One place of a server: whoever serves there now.
#[derive(Debug)]
struct Seat {
    home: Home,
    database: Option<String>,
    server: Mutex<Option<Server>>,
}

impl Seat {
    fn new(database: Option<String>) -> Self {
        let backlog: Vec<Value> = (1..=ISSUES).map(|number| issue("acme/small", number, &[])).collect();
        let seat = Self { home: Home::new(&backlog, ""), database, server: Mutex::default() };
        *seat.server.lock().unwrap() = Some(seat.serve());
        seat
    }

    fn serve(&self) -> Server {
        match &self.database {
            Some(url) => self.home.serve_with(&[("DATABASE_URL", url)]),
            None => self.home.serve(),
        }
    }

    fn url(&self) -> Option<String> {
        self.server.lock().unwrap().as_ref().map(|server| server.url.clone())
    }

    fn signal(&self, signal: &str) {
        if let Some(server) = self.server.lock().unwrap().as_ref() {
            send_signal(&server.child, signal);
        }
    }

    /// Kills whoever serves here, and has another begin.
    fn kill(&self) {
        let killed = self.server.lock().unwrap().take();
        killed.expect("somebody serves").kill();
        *self.server.lock().unwrap() = Some(self.serve());
    }
}

fn send_signal(child: &Child, signal: &str) {
    // One that ended meanwhile needs none.
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
}

/// The race: servers, what was seen, and how far it is.
struct Race {
    seats: Vec<Arc<Seat>>,
    database: Option<String>,
    history: Mutex<History>,
    begun: Instant,
    attempts: AtomicU64,
    over: AtomicBool,
}

/// What came of a request over HTTP, and whether it had to be sent again.
type Sent = Option<(u16, Value, bool)>;

impl Race {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap()
    }

    /// Sends a request to whichever server, and to another where no answer comes, as a client does: with the same
    /// request id. `None` when none ever came.
    async fn send(&self, client: &reqwest::Client, method: &str, path: &str, body: &Value) -> Sent {
        let deadline = Instant::now() + PATIENCE;
        let mut again = false;
        while Instant::now() < deadline {
            let seat = &self.seats[fastrand::usize(..self.seats.len())];
            if let Some(url) = seat.url() {
                let request = client.request(method.parse().unwrap(), format!("{url}{path}")).json(body);
                if let Ok(response) = request.timeout(ANSWER_MAX).send().await {
                    let status = response.status().as_u16();
                    // A store that failed, a server that ends: the same as no answer.
                    if status < 500
                        && let Ok(body) = response.json().await
                    {
                        return Some((status, body, again));
                    }
                }
            }
            again = true;
            // As a client does, that asks again after a moment.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    async fn agent(self: Arc<Self>, name: String) {
        let client = reqwest::Client::new();
        let mut held: Vec<(u64, String)> = Vec::new();
        let mut former: Option<(u64, String)> = None;
        while !self.over.load(Ordering::Relaxed) {
            let dice = fastrand::u8(..100);
            match held.last().cloned() {
                Some((number, claim)) if dice < 35 => {
                    self.give_back(&client, &name, number, &claim).await;
                    former = held.pop();
                }
                Some((number, claim)) if dice < 50 => self.update(&client, &name, number, &claim).await,
                // A late owner: its write must not harm whoever has the issue now.
                _ if dice < 60 && former.is_some() => {
                    let (number, claim) = former.take().expect("there is one");
                    self.update(&client, &name, number, &claim).await;
                }
                _ => held.extend(self.claim(&client, &name, dice % 2 == 0).await),
            }
            self.attempts.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn claim(&self, client: &reqwest::Client, agent: &str, by_name: bool) -> Option<(u64, String)> {
        let request_id = format!("{}", fastrand::u64(..));
        let number = fastrand::u64(1..=ISSUES);
        let called = self.now();
        let sent = if by_name {
            let wish =
                json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number, "request_id": request_id });
            self.send(client, "POST", "/api/claims", &wish).await
        } else {
            self.send(client, "POST", "/api/next", &json!({ "agent_id": agent, "request_id": request_id })).await
        };
        let answered = self.now();
        let note = |number, answer| {
            let op = Op { agent: agent.into(), call: Call::Claim, answer, called, answered };
            self.history.lock().unwrap().note(number, op);
        };
        let Some((status, body, again)) = sent else {
            // It may have taken any of them.
            let any = if by_name { number..=number } else { 1..=ISSUES };
            any.for_each(|number| note(number, Answer::Unknown));
            return None;
        };
        let claim = &body["claim"];
        let id = || claim["claim_id"].as_str().unwrap().to_owned();
        match (status, body["reason"].as_str()) {
            (200, _) if claim.is_object() => {
                let number = claim["issue_number"].as_u64().unwrap();
                // Sent again, it may be told of what its first try got.
                if body["idempotent"] == true && !again {
                    note(number, Answer::Already { claim: id() });
                    return None;
                }
                let is_new = !self.history.lock().unwrap().has_granted(&id());
                let epoch = claim["lease"]["epoch"].as_u64().unwrap();
                note(
                    number,
                    if is_new { Answer::Granted { claim: id(), epoch } } else { Answer::Already { claim: id() } },
                );
                is_new.then(|| (number, id()))
            }
            (409, Some("already_claimed")) => {
                note(number, Answer::HeldBy(body["owner_agent_id"].as_str().unwrap().to_owned()));
                None
            }
            // Nothing is free, or no policy answered in time.
            (200 | 404 | 409, _) if claim.is_null() => None,
            _ => panic!("{agent}: {status} {body}"),
        }
    }

    async fn give_back(&self, client: &reqwest::Client, agent: &str, number: u64, claim: &str) {
        let path = format!("/api/claims/{claim}");
        self.write(client, agent, number, Call::Release(claim.into()), "DELETE", &path, json!({ "agent_id": agent }))
            .await;
    }

    async fn update(&self, client: &reqwest::Client, agent: &str, number: u64, claim: &str) {
        let wish = json!({ "agent_id": agent, "status": "in_progress" });
        let path = format!("/api/claims/{claim}");
        self.write(client, agent, number, Call::Update(claim.into()), "PATCH", &path, wish).await;
    }

    #[allow(clippy::too_many_arguments, reason = "one call, as it is sent and as it is noted")]
    async fn write(
        &self,
        client: &reqwest::Client,
        agent: &str,
        number: u64,
        call: Call,
        method: &str,
        path: &str,
        body: Value,
    ) {
        let called = self.now();
        let answer = match self.send(client, method, path, &body).await {
            None => Answer::Unknown,
            Some((200, ..)) => Answer::Done,
            // An earlier try did it: the claim is among those that ended, released by its owner. One that is not there
            // was lost, and no excuse is made for that.
            Some((404, body, true)) if is_release(&call) && body["claim"]["status"] == "released" => Answer::DoneOrOver,
            Some((404 | 409, ..)) => Answer::NotYours,
            Some((status, body, _)) => panic!("{agent}: {status} {body}"),
        };
        let op = Op { agent: agent.into(), call, answer, called, answered: self.now() };
        self.history.lock().unwrap().note(number, op);
    }

    /// When all is quiet every server says the same of who holds what, and so did the last answers.
    async fn servers_agree(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut told = Vec::new();
        while Instant::now() < deadline {
            told.clear();
            for seat in &self.seats {
                let url = seat.url().expect("somebody serves");
                let claims: Value = reqwest::get(format!("{url}/api/claims")).await.unwrap().json().await.unwrap();
                let row =
                    |claim: &Value| format!("{} {} {}", claim["issue_number"], claim["claim_id"], claim["status"]);
                let mut rows: Vec<_> = claims["claims"].as_array().unwrap().iter().map(row).collect();
                rows.sort();
                let health: Value = reqwest::get(format!("{url}/api/health")).await.unwrap().json().await.unwrap();
                // A write whose client gave up may still land in between: it is looked again then.
                if health["health"]["active_claims"] != rows.len() {
                    rows.push(format!("{} counted", health["health"]["active_claims"]));
                }
                // What is free is what is on offer, and nothing else.
                let ranked: Value =
                    reqwest::get(format!("{url}/api/repos/acme/small/issues")).await.unwrap().json().await.unwrap();
                rows.push(format!("{} free", ranked["issues"].as_array().map_or(0, Vec::len)));
                told.push(rows);
            }
            let is_counted = |rows: &Vec<String>| !rows.iter().any(|row| row.ends_with("counted"));
            if told.windows(2).all(|pair| pair[0] == pair[1]) && told.iter().all(is_counted) {
                let free = told[0].last().unwrap().clone();
                assert_eq!(free, format!("{} free", ISSUES as usize + 1 - told[0].len()));
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the servers do not agree: {told:#?}");
    }

    /// Makes trouble until it killed often enough; how often it stopped servers and cut connections besides.
    async fn trouble(self: &Arc<Self>, wish: Wish) -> (u64, u64) {
        let (mut killed, mut stopped, mut cut) = (0, 0, 0);
        while killed < wish.kills || self.attempts.load(Ordering::Relaxed) < wish.attempts {
            tokio::time::sleep(wish.peace.mul_f64(0.5 + fastrand::f64())).await;
            let seat = Arc::clone(&self.seats[fastrand::usize(..self.seats.len())]);
            match (fastrand::u8(..100), &self.database) {
                (0..15, _) => {
                    seat.signal("-STOP");
                    // Now and then for longer than its database waits for it, and than it keeps its roles.
                    let ms = if fastrand::u8(..10) == 0 { 5_000..20_000 } else { 50..1_500 };
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(ms))).await;
                    seat.signal("-CONT");
                    stopped += 1;
                }
                (15..30, Some(url)) => {
                    let url = url.clone();
                    tokio::task::spawn_blocking(move || cut_connections(&url)).await.unwrap();
                    cut += 1;
                }
                _ if killed < wish.kills => {
                    tokio::task::spawn_blocking(move || seat.kill()).await.unwrap();
                    killed += 1;
                    if killed % 50 == 0 {
                        eprintln!("{killed} kills, {} attempts", self.attempts.load(Ordering::Relaxed));
                    }
                }
                _ => {}
            }
        }
        (stopped, cut)
    }
}

fn is_release(call: &Call) -> bool {
    matches!(call, Call::Release(_))
}

/// Has PostgreSQL end about half of the servers' connections.
fn cut_connections(url: &str) {
    let mut client = postgres::Client::connect(url, postgres::NoTls).unwrap();
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'issuecommand' AND datname = current_database() AND random() < 0.5";
    client.batch_execute(sql).unwrap();
}

async fn race(seats: Vec<Seat>, database: Option<String>, wish: Wish) {
    let race = Arc::new(Race {
        seats: seats.into_iter().map(Arc::new).collect(),
        database,
        history: Mutex::default(),
        begun: Instant::now(),
        attempts: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let agents: Vec<_> = (0..AGENTS).map(|n| tokio::spawn(Arc::clone(&race).agent(format!("agent-{n}")))).collect();
    let (stopped, cut) = race.trouble(wish).await;
    race.over.store(true, Ordering::Relaxed);
    for agent in agents {
        agent.await.unwrap();
    }
    race.servers_agree().await;
    let history = std::mem::take(&mut *race.history.lock().unwrap());
    eprintln!(
        "{} attempts, {} answers to check, {} kills, {stopped} stops, {cut} cuts, in {:.0} s",
        race.attempts.load(Ordering::Relaxed),
        history.len(),
        wish.kills,
        race.begun.elapsed().as_secs_f64(),
    );
    history.check().unwrap_or_else(|why| panic!("{why}"));
}

async fn on_sqlite(wish: Wish) {
    race(vec![seat(None).await], None, wish).await;
}

async fn on_postgres(wish: Wish) {
    let Some(url) =
        tokio::task::spawn_blocking(|| Postgres::of_this_process().map(|server| server.database())).await.unwrap()
    else {
        return;
    };
    let mut seats = Vec::new();
    for _ in 0..3 {
        seats.push(seat(Some(url.clone())).await);
    }
    race(seats, Some(url), wish).await;
}

/// A server that knows the issues.
async fn seat(database: Option<String>) -> Seat {
    let seat = tokio::task::spawn_blocking(move || Seat::new(database)).await.unwrap();
    let url = seat.url().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health: Value = reqwest::get(format!("{url}/api/health")).await.unwrap().json().await.unwrap();
        if health["health"]["open_issues"] == ISSUES {
            return seat;
        }
        assert!(Instant::now() < deadline, "{health}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_on_sqlite_answers_as_if_one_call_followed_another() {
    on_sqlite(Wish::SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_on_postgres_answer_as_if_one_call_followed_another() {
    on_postgres(Wish::SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: see the module"]
async fn soak_on_sqlite() {
    on_sqlite(Wish::long()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: see the module"]
async fn soak_on_postgres() {
    on_postgres(Wish::long()).await;
}
