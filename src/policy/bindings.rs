//! The WIT package in Rust: one module for each kind of policy. The interfaces that all kinds share are
//! generated once, in [`ranker`].

/// `ranker-policy`: orders work.
pub(super) mod ranker {
    wasmtime::component::bindgen!({
        path: "wit/issuecommand-policy-0.1.0",
        world: "ranker-policy",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// `work-order-part`: what a ranker may export besides, to say when review feedback comes.
pub(super) mod work_order {
    wasmtime::component::bindgen!({
        path: "wit/issuecommand-policy-0.1.0",
        world: "work-order-part",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "issuecommand:policy/request": super::ranker::issuecommand::policy::request,
            "issuecommand:policy/types": super::ranker::issuecommand::policy::types,
        },
    });
}

/// `stale-rule-policy`: says when a claim has lapsed.
pub(super) mod stale_rule {
    wasmtime::component::bindgen!({
        path: "wit/issuecommand-policy-0.1.0",
        world: "stale-rule-policy",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "issuecommand:policy/log": super::ranker::issuecommand::policy::log,
            "issuecommand:policy/types": super::ranker::issuecommand::policy::types,
        },
    });
}

/// `repo-filter-policy`: says which repositories take part.
pub(super) mod repo_filter {
    wasmtime::component::bindgen!({
        path: "wit/issuecommand-policy-0.1.0",
        world: "repo-filter-policy",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "issuecommand:policy/log": super::ranker::issuecommand::policy::log,
            "issuecommand:policy/types": super::ranker::issuecommand::policy::types,
        },
    });
}
