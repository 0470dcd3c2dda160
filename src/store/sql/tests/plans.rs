//! How SQLite goes about the statements that agents wait for: by an index, never through a table.

use rusqlite::Connection;

use super::super::*;
use super::config;
use crate::domain::{ClaimId, from_unix_ms};
use crate::store::{ClaimHistoryFilter, ClaimHistoryPlace};

#[test]
fn no_hot_statement_scans_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let connection = sqlite::open(&config(directory.path())).unwrap().connection;
    let (issue_get, issue_list) =
        (format!("SELECT repo {}", issues::GET_WHERE), format!("SELECT repo {}", issues::LIST_WHERE));
    let hot = [
        (claims::INSERT, ""),
        (claims::UPDATE, "PRIMARY KEY"),
        (claims::GET, "PRIMARY KEY"),
        (claims::GET_ACTIVE, "PRIMARY KEY"),
        (claims::HOLDER, "claims_one_active_per_issue"),
        (claims::BY_REQUEST, "claims_by_request"),
        (claims::LIST_OF_AGENT, "claims_active_by_agent"),
        (claims::LIST_IN_REPO, "claims_one_active_per_issue"),
        (claims::EPOCH_GET, "PRIMARY KEY"),
        (claims::EPOCH_SET, ""),
        (claims::FINISHED_SET, "PRIMARY KEY"),
        (lineage::EPOCH_BEGIN, "PRIMARY KEY"),
        (operator::REASSIGN, "PRIMARY KEY"),
        (import::INSERT_PAST, ""),
        (tokens::INSERT, ""),
        (tokens::REVOKE, "PRIMARY KEY"),
        (issues::UPSERT, ""),
        (issues::BODY_UPSERT, ""),
        (issues::STATE, "PRIMARY KEY"),
        (issues::KNOWN, "PRIMARY KEY"),
        (issues::BODY, "PRIMARY KEY"),
        (issues::DELETE, "PRIMARY KEY"),
        (&issue_get, "PRIMARY KEY"),
        (&issue_list, "claims_one_active_per_issue"),
        (repos::UPSERT, ""),
        (repos::DELETE, "PRIMARY KEY"),
        (repos::OPEN_ISSUES, "PRIMARY KEY"),
        (repos::ISSUES_DELETE, "PRIMARY KEY"),
        (repos::CURSOR_SET, ""),
        (lists::CURSOR_GET, "PRIMARY KEY"),
        (lists::CURSOR_SET, ""),
        (lists::CURSOR_DELETE, "PRIMARY KEY"),
        (lists::MARK_SET, ""),
        (lists::MARK_DELETE, "PRIMARY KEY"),
        (repos::CURSOR_DELETE, "PRIMARY KEY"),
        (events::APPEND, ""),
        (events::LIST_AFTER, "INTEGER PRIMARY KEY"),
        (decisions::INSERT, ""),
        (decisions::GET, "sqlite_autoindex_decisions_1"),
        (decisions::VERSION_KEEP, ""),
        (decisions::VERSION_GET, "sqlite_autoindex_issue_versions_1"),
        (history::VERSIONS_TRIM, "issue_versions_by_age"),
        (events::AGENT_HEARD, ""),
        (history::EVENTS_TRIM, "INTEGER PRIMARY KEY"),
        (history::SOURCES_TRIM, "INTEGER PRIMARY KEY"),
        (history::DELIVERIES_TRIM, "INTEGER PRIMARY KEY"),
        (follow_ups::SOURCE_GET, "INDEX"),
        (follow_ups::SOURCE_INSERT, ""),
        (follow_ups::INSERT, ""),
        (follow_ups::UPDATE, "PRIMARY KEY"),
        (follow_ups::REQUEST_FORGET, "PRIMARY KEY"),
        (follow_ups::GET, "PRIMARY KEY"),
        (follow_ups::GET_ACTIVE, "PRIMARY KEY"),
        (follow_ups::BY_REQUEST, "follow_ups_by_request"),
        (follow_ups::LIST_OF_PULL, "follow_ups_active_by_pull"),
        (follow_up_import::INSERT_AS_IS, ""),
        (past::BY_SHORT_ID, "claims_past_of_agent"),
        (approvals::GET, "PRIMARY KEY"),
        (approvals::SET, ""),
        (approvals::DELETE, "PRIMARY KEY"),
        (approvals::READING_GET, "PRIMARY KEY"),
        (approvals::READING_SET, ""),
        (blockers::LIST, "PRIMARY KEY"),
        (blockers::LIST_BY, "PRIMARY KEY"),
        (blockers::INSERT, ""),
        (blockers::DELETE, "PRIMARY KEY"),
        (blockers::DELETE_ONE, "PRIMARY KEY"),
        (blockers::CLOSED, "blockers_by_blocker"),
        (blockers::CLOSED_IN, "blockers_by_blocker"),
        (blockers::DUE_MARK, ""),
        (blockers::DUE_DELETE, "PRIMARY KEY"),
        (blockers::DUE_NOTE, "PRIMARY KEY"),
        (pulls::UPSERT, ""),
        (pulls::GET, "PRIMARY KEY"),
        (pulls::DELIVERY_RECORD, ""),
        (places::SOURCE_GET, "PRIMARY KEY"),
        (places::SOURCE_SET, ""),
        (places::PULL_UPSERT, ""),
        (places::FORGET[0], "PRIMARY KEY"),
        (places::FORGET[1], "PRIMARY KEY"),
        (signals::SIGNALS_GET, "PRIMARY KEY"),
        (signals::SIGNALS_SET, ""),
        (signals::NOTICE_INSERT, ""),
        (signals::NOTICE_DELETE, "INTEGER PRIMARY KEY"),
        (signals::NOTICES_TRIM, "INTEGER PRIMARY KEY"),
        (runs::INSERT, ""),
        (runs::ACTIVE_OF_ISSUE, "runs_active"),
        (runs::GET, "PRIMARY KEY"),
        (runs::SAVE, "PRIMARY KEY"),
        (runs::OF_ISSUE, "runs_of_issue"),
        (runs::OF_PULL, "runs_of_pull"),
        (runs::LIST_ACTIVE, "runs_ended"),
        (runs::LIST_BEGUN, "runs_ended"),
        (runs::LIST_ENDED, "runs_ended"),
        (runs::TRIM, "runs_ended"),
        (runs::LIST_UNDER_WAY, "runs_ended"),
        (run_log::NEWEST, "sqlite_autoindex_run_log_1"),
        (run_log::APPEND, ""),
        (run_log::DROP_OLDEST, "run_log_by_bytes"),
        (run_log::TRIM, "run_log_by_bytes"),
        (run_log::AFTER, "sqlite_autoindex_run_log_1"),
        (run_log::TAIL, "sqlite_autoindex_run_log_1"),
        (runs::USAGE_ADD, ""),
        (runs::USAGE_OF_DAY, "PRIMARY KEY"),
        (runs::USAGE_TRIM, "PRIMARY KEY"),
    ];
    for (sql, through) in hot {
        let plan = plan(&connection, sql);
        assert!(!plan.contains("SCAN"), "{sql}\n{plan}");
        assert!(plan.contains(through), "{sql}\n{plan}");
    }
    // These walk all active, all finished, all past claims: by the partial index that holds no others.
    let bounded = [
        (claims::LIST, "claims_one_active_per_issue", "claims_active_by_agent"),
        (snapshot::FINISHED, "lease_epochs_finished", "lease_epochs_finished"),
        (history::CLAIMS_TRIM, "claims_past", "claims_past"),
        (history::FOLLOW_UPS_TRIM, "follow_ups_past", "follow_ups_past"),
        (history::PULLS_TRIM, "pulls_by_age", "pulls_by_age"),
        (follow_ups::LIST, "follow_ups_active", "follow_ups_active"),
        (follow_ups::ACTIVE_COUNT, "follow_ups_active", "follow_ups_active"),
        (follow_ups::LEAST_URGENT, "follow_ups_active", "follow_ups_active"),
        (follow_ups::HISTORY, "follow_ups_past", "follow_ups_past"),
        (follow_ups::PAST_OF_PULL, "follow_ups_past", "follow_ups_past"),
        (follow_up_import::PAST_HORIZON, "follow_ups_past", "follow_ups_past"),
        (follow_up_import::ACTIVE_COUNT, "follow_ups_active", "follow_ups_active"),
        (blockers::DUE_LIST, "dependency_readings_by_age", "dependency_readings_by_age"),
        (pulls::DELIVERY_SEEN, "CONSTANT ROW", "CONSTANT ROW"),
    ];
    for (sql, one, other) in bounded {
        let plan = plan(&connection, sql);
        for step in plan.lines().filter(|step| step.contains("SCAN")) {
            assert!(step.contains(one) || step.contains(other), "{sql}\n{plan}");
        }
    }
}

#[test]
fn a_page_of_the_history_is_read_off_an_index_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let connection = sqlite::open(&config(directory.path())).unwrap().connection;
    let (agent, repo) = ("a1".parse().unwrap(), "acme/small".parse().unwrap());
    let place = ClaimHistoryPlace { ended_at: from_unix_ms(0), claim_id: ClaimId::fresh() };
    let filters = [
        (ClaimHistoryFilter::default(), "claims_past"),
        (ClaimHistoryFilter { repo: Some(repo), agent: None }, "claims_past_in_repo"),
        (ClaimHistoryFilter { repo: None, agent: Some(agent) }, "claims_past_of_agent"),
    ];
    for (filter, index) in filters {
        for after in [None, Some(place)] {
            let sql = past::select(&filter, after, &mut Vec::new());
            let plan = plan(&connection, &sql);
            assert!(
                plan.contains(&format!("INDEX {index} ")) || plan.contains(&format!("INDEX {index}\n")),
                "{sql}\n{plan}"
            );
            assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
}

/// The steps of SQLite's plan, one a line.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let nulls = vec![rusqlite::types::Null; count];
    let rows = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>(3)).unwrap();
    rows.map(|row| row.unwrap() + "\n").collect()
}
