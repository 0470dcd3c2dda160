//! The generated bindings of the worlds. Shared interfaces are generated once, with the first
//! world, and borrowed by the others. A world's exports, and with them its name in the finished
//! component, appear only where its macro is expanded, so one crate can serve all three.

#![allow(missing_docs, missing_debug_implementations, clippy::all)]

pub mod ranker_world {
    wit_bindgen::generate!({
        path: "../../wit/issuecommand-policy-0.1.0",
        world: "ranker-policy",
        pub_export_macro: true,
        export_macro_name: "export_ranker_world",
    });
}

pub mod work_order_world {
    wit_bindgen::generate!({
        path: "../../wit/issuecommand-policy-0.1.0",
        world: "work-order-part",
        pub_export_macro: true,
        export_macro_name: "export_work_order_world",
        with: {
            "issuecommand:policy/types@0.1.0": crate::wit::ranker_world::issuecommand::policy::types,
            "issuecommand:policy/request@0.1.0": crate::wit::ranker_world::issuecommand::policy::request,
        },
    });
}

pub mod stale_rule_world {
    wit_bindgen::generate!({
        path: "../../wit/issuecommand-policy-0.1.0",
        world: "stale-rule-policy",
        pub_export_macro: true,
        export_macro_name: "export_stale_rule_world",
        with: {
            "issuecommand:policy/types@0.1.0": crate::wit::ranker_world::issuecommand::policy::types,
            "issuecommand:policy/log@0.1.0": crate::wit::ranker_world::issuecommand::policy::log,
        },
    });
}

pub mod repo_filter_world {
    wit_bindgen::generate!({
        path: "../../wit/issuecommand-policy-0.1.0",
        world: "repo-filter-policy",
        pub_export_macro: true,
        export_macro_name: "export_repo_filter_world",
        with: {
            "issuecommand:policy/types@0.1.0": crate::wit::ranker_world::issuecommand::policy::types,
            "issuecommand:policy/log@0.1.0": crate::wit::ranker_world::issuecommand::policy::log,
        },
    });
}

pub use ranker_world::issuecommand::policy::{candidates, live_claims, log, request, types};
pub use repo_filter_world::issuecommand::policy::repositories;
pub use stale_rule_world::issuecommand::policy::claims;
pub use work_order_world::issuecommand::policy::follow_ups;
