//! What is said of a wrong configuration of dispatch.

use super::Folder;

#[test]
fn every_range_and_word_of_dispatch_is_checked() {
    let wrong = [
        ("dispatch", "agent_name = \" \""),
        ("dispatch", "agent = \"opencod\""),
        ("dispatch", "attempt_count_max = 0"),
        ("dispatch", "retry_wait = \"2d\""),
        ("dispatch", "answer_associations = [\"owner\"]"),
        ("dispatch", "review_rounds_max = 101"),
        ("dispatch", "issues_per_pull = 0"),
        ("dispatch", "git_url = \"https://git.example.org/x.git\""),
        ("dispatch", "git_name = \"\""),
        ("dispatch", "git_email = \"<a@b>\""),
        ("dispatch", "run_max_entries = 0"),
        ("dispatch", "log_bytes_max = \"1k\""),
        ("dispatch", "model_fallbacks = [\"\"]"),
        ("dispatch", "repository_config = \"some\""),
        ("dispatch.budget", "run_usd_max = -1.0"),
        ("dispatch.budget", "repo_usd_max = nan"),
        ("containers", "runtime = \"\""),
        ("containers", "connection = \"two words\""),
        ("containers", "max_concurrent = 257"),
        ("containers", "cpu_limit = \"many\""),
        ("containers", "cpu_limit = \"0\""),
        ("containers", "cpu_limit = \"nan\""),
        ("containers", "cpu_limit = \"-1\""),
        ("containers", "memory_limit = \"1m\""),
        ("containers", "pids_limit = 1"),
        ("containers", "task_timeout = \"0s\""),
        ("containers", "stuck_timeout = \"8d\""),
        ("containers", "heartbeat = \"0s\""),
        ("containers", "base_image = \"\""),
        ("containers", "network = \"--privileged\""),
        ("containers", "environment = \"\""),
        ("containers", "environment = \"nyx\""),
        ("containers", "nix_volume = \"../x\""),
        ("containers.mounts", "tools = \"/opt/tools\""),
        ("containers.mounts", "\"/opt/tools\" = \"tools\""),
        ("containers.mounts", "\"/opt/tools\" = \"/workspace/tools\""),
        ("containers.mounts", "\"/opt/tools\" = \"/run\""),
        ("containers.mounts", "\"/opt/tools\" = \"/tools,rw=true\""),
        ("containers.priority.low", "cpu_limit = \"none\""),
        ("containers.priority.critical", "memory_limit = \"1k\""),
        ("containers.priority.high", "pids_limit = 2"),
        ("containers.priority.medium", "max_concurrent = 300"),
        ("secrets", "provider = \"vault\""),
        ("secrets", "provider = \"command\""),
        ("secrets", "command = [\"\"]"),
        ("secrets.variables", "\"A-B\" = \"env:X\""),
        ("secrets.variables", "KEY = \"\""),
        ("secrets.variables", "KEY = \"command:x\""),
        ("agents.codex", "kind = \"chat\""),
        ("agents.codex", "kind = \"acp\""),
        ("agents.codex", "model = \"\""),
        ("agents.codex", "command = [\"\"]"),
        ("agents.codex", "env = { \"1X\" = \"y\" }"),
        ("github", "poll_interval = \"0s\""),
        ("github", "trigger_label = \"\""),
        ("github", "topic = \"a b\""),
    ];
    for (section, line) in wrong {
        let report = Folder::with(&format!("[{section}]\n{line}\n")).load(&[]).expect_err(line);
        assert_eq!(report.problems.len(), 1, "{line}: {report}");
        let problem = &report.problems[0];
        assert!(matches!(problem.line, Some(1 | 2)), "{report}");
        assert!(problem.key.starts_with(section), "{report}");
    }
}

#[test]
fn what_is_allowed_of_dispatch_is_not_refused() {
    let right = [
        "[dispatch]\nagent = \"mine\"\n[agents.mine]\nkind = \"acp\"\ncommand = [\"my-agent\"]",
        "[dispatch]\nretry_wait = \"0s\"\nquestion_timeout = \"0\"\ngit_url = \"ssh://git@git.example.org/{repo}.git\"",
        "[dispatch]\ngit_url = \"/srv/git/{repo}.git\"",
        "[containers]\nenvironment = \"mise exec --\"\ncpu_limit = \"0.5\"\nmemory_limit = \"512m\"\nmax_concurrent = 0",
        "[containers]\nenvironment = \"/opt/nyx\"\nnix_volume = \"issuecommand-nix\"",
        "[containers.mounts]\n\"/opt/tools\" = \"/opt/tools\"",
        "[containers.priority.critical]\ntask_timeout = \"2h\"\nmax_concurrent = 4",
        "[secrets]\nprovider = \"command\"\ncommand = [\"pass\", \"show\"]\n[secrets.variables]\nKEY = \"command:x\"",
        "[agents.codex]\nmodel = \"gpt-5\"",
        "[agents.acp]\ncommand = [\"opencode\", \"acp\"]",
    ];
    for text in right {
        Folder::with(text).load(&[]).unwrap_or_else(|report| panic!("{text}\n{report}"));
    }
}

#[test]
fn an_agent_of_ones_own_must_say_how_it_is_spoken_to() {
    let report = Folder::with("[agents.mine]\nmodel = \"m\"\n").report(&[]);
    assert!(report.contains("how is \"mine\" spoken to? Set its kind: opencode, pi,"), "{report}");
}

#[test]
fn a_slip_in_a_word_is_told_with_the_word() {
    let report = Folder::with("[containers]\nenvironment = \"devcontaner\"\n").report(&[]);
    assert!(report.contains("did you mean \"devcontainer\"?"), "{report}");
}

#[test]
fn credentials_in_an_address_of_git_are_refused_and_not_shown() {
    for url in ["https://ann:hunter2@git.example.org/{repo}", "https://hunter2@git.example.org/{repo}"] {
        let report = Folder::with(&format!("[dispatch]\ngit_url = \"{url}\"\n")).load(&[]).expect_err(url);
        assert_eq!(report.problems.len(), 1, "{url}");
        assert!(report.problems[0].message.contains("credentials"), "{url}");
        assert!(!format!("{report} {report:?}").contains("hunter2"), "{url}");
    }
}
