//! An agent asks: its question stands on the issue, whoever may answer resumes it, and nobody waits for ever.

use serde_json::{Value, json};

use crate::git::git;
use crate::patience::until;
use crate::standin::STRANGERS_TOKEN;
use crate::world::{UnderWay, World};

/// How often comments are looked for until a stranger's has certainly been seen: one look may be under way.
const LOOK_COUNT: u64 = 3;
/// What the agent would do on its own with a model that commits: the scripted one writes the answer down, no more.
const COMMIT_WHEN_ANSWERED: &str =
    "until [ -s answer.txt ]; do sleep 0.1; done; git add --all && git commit --quiet --message='Take the answer'";

/// A run whose agent waits for an answer.
struct Waiting {
    world: World,
    number: u64,
    run: UnderWay,
}

impl Waiting {
    async fn with(more: &str) -> Option<Self> {
        let world = World::with("opencode").await?;
        world.configure("opencode", more);
        let number = world.open_issue("question").await;
        let run = world.start_run(number);
        world.until_labelled(number, "agent/waiting").await;
        Some(Self { world, number, run })
    }

    async fn comment_as(&self, token: Option<&str>, text: &str) {
        let (path, body) = (format!("/repos/alice/widget/issues/{}/comments", self.number), json!({ "body": text }));
        match token {
            Some(token) => self.world.github.call_as(token, "POST", &path, &body).await,
            None => self.world.github.call("POST", &path, &body).await,
        };
    }

    /// How often somebody looked for comments.
    async fn look_count(&self) -> u64 {
        let stats = self.world.github.stats().await;
        let asked = stats["byRoute"].as_object().unwrap().iter();
        let of_comments = asked.filter(|(route, _)| route.starts_with("GET") && route.ends_with("/comments"));
        of_comments.map(|(_, count)| count.as_u64().unwrap()).sum()
    }

    /// That the run ends well, with what was answered in its commit.
    async fn ends_with(self, answer: &str) {
        let ended = self.run.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let branches = self.world.branches();
        let [branch] = branches.as_slice() else { panic!("one branch: {branches:?}") };
        let taken = git(&self.world.upstream(), &["show", &format!("{branch}:answer.txt")]);
        assert!(taken.contains(answer), "{taken}");
        assert_eq!(self.world.page().labels(self.number).await, ["agent", "agent/done"]);
        assert_eq!(self.world.containers(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_owners_reply_resumes_the_agent_and_a_strangers_does_not() {
    let Some(waiting) = Waiting::with("").await else { return };
    let comments = waiting.world.page().comments(waiting.number).await;
    let [story, question] = comments.as_slice() else { panic!("the story and the question: {comments:?}") };
    assert!(story.contains("has a question") && question.contains("Which greeting should hello.txt contain?"));
    assert!(question.contains("1. hello") && question.contains("2. hola"), "{question}");
    waiting.world.within(&format!("({COMMIT_WHEN_ANSWERED}) > /dev/null 2>&1 &"));

    waiting.comment_as(Some(STRANGERS_TOKEN), "rm -rf everything").await;
    let before = waiting.look_count().await;
    until("more looks", async || (waiting.look_count().await >= before + LOOK_COUNT).then_some(())).await;
    assert_eq!(waiting.world.page().labels(waiting.number).await, ["agent", "agent/waiting"]);

    waiting.comment_as(None, "hola, gladly").await;
    let world = &waiting.world;
    world.until_logged("alice answered: hola, gladly").await;
    assert!(!world.logs().contains("rm -rf everything"), "a stranger's words are not the agent's: {}", world.logs());
    waiting.ends_with("hola, gladly").await;
}

#[tokio::test]
async fn an_answer_by_command_resumes_the_agent() {
    let Some(waiting) = Waiting::with("").await else { return };
    waiting.world.within(&format!("({COMMIT_WHEN_ANSWERED}) > /dev/null 2>&1 &"));
    let runs = waiting.world.runs();
    let answered = waiting.world.ask(&["answer", &runs[0], "hello, as always"]).await;
    assert_eq!((answered.code, answered.out.as_str()), (Some(0), "its agent is told\n"), "{answered:?}");
    waiting.world.until_logged("ann answered: hello, as always").await;
    waiting.ends_with("hello, as always").await;
}

#[tokio::test]
async fn a_question_that_nobody_answers_ends_the_run() {
    let Some(waiting) = Waiting::with("dispatch.question_timeout = \"3s\"").await else { return };
    let ended = waiting.run.end().await;
    let world = waiting.world;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("nobody answered the agent's question within 3s"), "{ended:?}");
    assert_eq!(world.page().labels(waiting.number).await, ["agent", "agent/failed"]);
    assert_eq!((world.containers(), world.branches()), (vec![], vec![]));
    assert_eq!(world.page().list("/pulls?state=all").await, Vec::<Value>::new());
    let claims = world.claims().await;
    assert!(claims.len() == 1 && claims[0]["status"] == "released", "{claims:?}");
}
