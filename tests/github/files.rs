//! Issues from a file of JSON lines.

use std::fs;

use issuecommand::domain::IssueState;
use issuecommand::github::{FileSource, IssueSource, SourceError};
use issuecommand::store::SyncCursor;

use crate::hand_made::{at, issue, small};

const LINES: &str = r#"
{"repo":"Acme/Small","number":1,"title":"One","created_at":"2020-05-05T00:00:00Z","labels":["p0"],"author":"ann"}
{"repo":"acme/small","kind":"pull","number":2,"title":"A pull request"}
{"repo":"acme/small","kind":"issue","number":3,"title":"Three","user":"bob","comments":4,"milestone":"v1","state":"closed","created_at":"2020-05-05T00:00:00Z","updated_at":"2020-05-05T00:09:00Z"}
{"repo":"acme/small","number":4,"title":"Four","created_at":"2020-05-05T00:04:00Z","comments":[{"author":"ann","body":"Hm","created_at":"2020-05-05T00:05:00Z"}]}
{"repo":"acme/big","number":1,"title":"Of another","created_at":"2020-05-05T00:00:00Z"}
"#;

#[tokio::test]
async fn both_forms_of_lines_are_read() {
    let source = FileSource::from_text(LINES).unwrap();
    let names: Vec<_> =
        source.repo_list().await.unwrap().repos.into_iter().map(|repo| repo.full_name.to_string()).collect();
    assert_eq!(names, ["acme/big", "acme/small"]);
    let page = source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap();
    assert_eq!(
        page.issues.iter().map(|i| i.number.get()).collect::<Vec<_>>(),
        [4, 1],
        "open ones, newest change first"
    );
    assert_eq!(page.issues[0].updated_at, at(4));
    assert_eq!((page.issues[0].comment_count, page.issues[0].comments.len()), (1, 0));
    let three = source.issue_get(&issue("acme/small#3")).await.unwrap().unwrap();
    assert_eq!((three.author.as_str(), three.comment_count, three.milestone.as_deref()), ("bob", 4, Some("v1")));
    assert_eq!(source.comment_list(&issue("acme/small#4")).await.unwrap()[0].body, "Hm");
    assert_eq!(source.issue_get(&issue("acme/small#2")).await.unwrap(), None);
}

#[tokio::test]
async fn an_edited_file_is_read_again_and_an_untouched_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issues.jsonl");
    fs::write(&path, LINES).unwrap();
    let source = FileSource::new(&path);
    let cursor = source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap().cursor.unwrap();
    let again = source.issue_page(&small(), &cursor, None).await.unwrap();
    assert_eq!((again.issues.len(), again.cursor.as_ref()), (0, Some(&cursor)));

    let closing =
        r#"{"repo":"acme/small","number":1,"title":"One","state":"closed","created_at":"2020-05-05T00:00:00Z"}"#;
    fs::write(&path, format!("{LINES}{closing}\n")).unwrap();
    let page = source.issue_page(&small(), &cursor, None).await.unwrap();
    let one = page.issues.iter().find(|issue| issue.number.get() == 1).unwrap();
    assert_eq!(one.state, IssueState::Closed, "the last line counts, though its updated_at stayed");
    assert_ne!(page.cursor, Some(cursor));
}

#[tokio::test]
async fn a_bad_line_is_left_out_unless_none_is_good() {
    let source = FileSource::from_text(&format!("{{\"repo\":\n{LINES}{{\"number\":1}}\n")).unwrap();
    assert_eq!(source.repo_list().await.unwrap().repos.len(), 2);
    let error = FileSource::from_text("\n{\"repo\":\"acme/small\",\"number\":\"s3cret\"}\nx").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("number") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn long_lists_come_in_pages_of_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issues.jsonl");
    let line = |n| format!(r#"{{"repo":"acme/small","number":{n},"title":"T","created_at":"2020-05-05T00:00:00Z"}}"#);
    let text: String = (1..=2_500).map(|n| line(n) + "\n").collect();
    fs::write(&path, &text).unwrap();
    let source = FileSource::new(&path);
    let (mut next, mut sizes) = (None, Vec::new());
    loop {
        let page = source.issue_page(&small(), &SyncCursor::default(), next).await.unwrap();
        sizes.push(page.issues.len());
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [1_000, 1_000, 500]);

    let first = source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap();
    fs::write(&path, text + &line(2_501)).unwrap();
    let error = source.issue_page(&small(), &SyncCursor::default(), first.next).await.unwrap_err();
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

#[tokio::test]
async fn a_file_cannot_be_closed_in_or_read_when_missing() {
    let source = FileSource::from_text(LINES).unwrap();
    let refused = source.issue_close(&issue("acme/small#1")).await.unwrap_err();
    assert!(matches!(refused, SourceError::Unsupported { .. }));
    let missing = FileSource::new("/nowhere/issues.jsonl").repo_list().await.unwrap_err();
    assert!(missing.to_string().starts_with("could not read file /nowhere/issues.jsonl"), "{missing}");
    let unknown = "acme/none".parse().unwrap();
    assert!(matches!(
        source.issue_page(&unknown, &SyncCursor::default(), None).await,
        Err(SourceError::NotFound { .. })
    ));
}
