//! kill -9 in the middle of claims: what was acknowledged is there, and nothing is there twice.
//! `KILL_CYCLES` sets how often (ten here, a hundred for a soak).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::harness::{Home, issue};

const AGENTS: usize = 8;
const ISSUES: u64 = 2_000;
/// Acknowledged claims after which the server is killed; a little more in every cycle, so that the
/// kill falls into another moment each time.
const CLAIMS_BEFORE_KILL: usize = 20;

fn cycles() -> usize {
    std::env::var("KILL_CYCLES").map_or(10, |count| count.parse().expect("KILL_CYCLES is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_lost_no_acknowledged_claim_and_doubled_none() {
    let backlog: Vec<Value> = (1..=ISSUES).map(|number| issue("acme/small", number, &[])).collect();
    let home = Home::new(&backlog, "");
    let mut acknowledged: HashMap<u64, Value> = HashMap::new();
    for cycle in 0..cycles() {
        if acknowledged.len() + 300 > usize::try_from(ISSUES).unwrap() {
            release_everything(&home, &mut acknowledged).await;
        }
        let server = Arc::new(home.serve());
        if cycle == 0 {
            server.wait_for_backlog(backlog.len()).await;
        }
        check(&server.get("/api/claims").await, &acknowledged);

        let (sender, mut grants) = mpsc::unbounded_channel();
        let agents: Vec<_> = (0..AGENTS)
            .map(|n| {
                let (server, sender) = (Arc::clone(&server), sender.clone());
                tokio::spawn(async move {
                    let ask = json!({ "agent_id": format!("agent-{n}") });
                    // Ends when the server dies: the answer to the last request is not known then.
                    while let Ok((200, body)) = server.try_send("POST", "/api/next", ask.clone()).await {
                        sender.send(body["claim"].clone()).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let mut pid = Some(server.child.id());
        let mut count = 0;
        while let Some(claim) = grants.recv().await {
            let number = claim["issue_number"].as_u64().unwrap();
            assert!(acknowledged.insert(number, claim).is_none(), "issue {number} was handed out twice");
            count += 1;
            if count == CLAIMS_BEFORE_KILL + cycle % 7
                && let Some(pid) = pid.take()
            {
                let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
                assert!(killed.success());
            }
        }
        for agent in agents {
            agent.await.unwrap();
        }
        Arc::into_inner(server).unwrap().kill();
    }
    let server = home.serve();
    check(&server.get("/api/claims").await, &acknowledged);
    assert!(acknowledged.len() >= CLAIMS_BEFORE_KILL);
}

/// Every acknowledged claim is there as it was acknowledged, and no issue has two.
fn check(answer: &Value, acknowledged: &HashMap<u64, Value>) {
    let claims = answer["claims"].as_array().unwrap();
    let mut held = HashMap::new();
    for claim in claims {
        let number = claim["issue_number"].as_u64().unwrap();
        assert!(held.insert(number, claim).is_none(), "issue {number} has two active claims");
    }
    let ids: HashSet<_> = claims.iter().map(|claim| claim["claim_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), claims.len());
    for (number, claim) in acknowledged {
        let kept = held.get(number).unwrap_or_else(|| panic!("the acknowledged claim on issue {number} is lost"));
        for field in ["claim_id", "agent_id", "claimed_at"] {
            assert_eq!(kept[field], claim[field], "issue {number}");
        }
        assert_eq!(kept["lease"]["epoch"], claim["lease"]["epoch"], "issue {number}");
    }
}

/// Gives everything back, so that a long soak does not run out of issues.
async fn release_everything(home: &Home, acknowledged: &mut HashMap<u64, Value>) {
    let server = home.serve();
    for claim in server.get("/api/claims").await["claims"].as_array().unwrap() {
        let path = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
        let (status, body) = server.send("DELETE", &path, json!({ "agent_id": claim["agent_id"] })).await;
        assert_eq!(status, 200, "{body}");
    }
    acknowledged.clear();
    assert!(server.stop());
}
