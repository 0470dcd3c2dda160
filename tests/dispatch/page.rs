//! A repository of the GitHub stand-in, as people see it there.

use serde_json::{Value, json};

use crate::standin::Standin;

/// What stands on GitHub about one repository.
#[derive(Clone, Copy)]
pub struct Page<'p> {
    pub github: &'p Standin,
    pub repo: &'p str,
}

impl Page<'_> {
    /// Opens an issue; answers its number.
    pub async fn open_issue(&self, title: &str, body: &str, labels: &[&str]) -> u64 {
        let issue = json!({ "title": title, "body": body, "labels": labels });
        let opened = self.github.call("POST", &format!("/repos/{}/issues", self.repo), &issue).await;
        opened["number"].as_u64().unwrap()
    }

    /// The rows of a list of the repository.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let listed = self.github.call("GET", &format!("/repos/{}{path}", self.repo), &Value::Null).await;
        listed.as_array().unwrap().clone()
    }

    /// What was said below an issue, oldest first.
    pub async fn comments(&self, number: u64) -> Vec<String> {
        let comments = self.list(&format!("/issues/{number}/comments")).await;
        comments.iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
    }

    /// The labels of an issue or a pull request, in the order of the alphabet.
    pub async fn labels(&self, number: u64) -> Vec<String> {
        let labels = self.list(&format!("/issues/{number}/labels")).await;
        let mut labels: Vec<_> = labels.iter().map(|label| label["name"].as_str().unwrap().to_owned()).collect();
        labels.sort();
        labels
    }
}
