//! The conformance suite of the store port. Every adapter must pass every case.
//!
//! A case is an async function of a [`Bed`]: an open store, what its observer saw, and a way to reopen
//! it. An adapter joins with one line at the end of this file. What a case leaves must hold together.

#![allow(clippy::unwrap_used)]

mod approvals;
mod bed;
mod blockers;
mod broken_off;
mod checks;
mod claims;
mod copies;
mod decisions;
mod events;
mod follow_up_imports;
mod follow_ups;
mod imports;
mod issues;
mod keeping;
mod moves;
mod operator;
mod past;
mod places;
mod policies;
#[path = "../postgres/mod.rs"]
mod postgres;
mod pulls;
mod races;
mod repos;
mod run_logs;
mod runs;
mod servers;
mod signals;
mod steps;
mod tokens;
mod upgrades;

/// Runs every case on the engine that `$engine` makes, one fresh database each.
macro_rules! conformance {
    ($name:ident, $engine:expr) => {
        conformance! { @cases $name, $engine;
            claims::a_free_issue_is_granted_with_its_text,
            claims::the_same_agent_has_the_issue_already,
            claims::second_agent_learns_who_holds_the_issue,
            claims::an_unknown_or_closed_issue_is_not_open,
            claims::a_claim_on_a_forgotten_issue_still_tells_its_holder,
            claims::the_first_free_candidate_is_taken_in_order,
            claims::held_closed_and_unknown_candidates_are_passed_by,
            claims::a_finished_candidate_is_passed_by_but_can_be_claimed_by_name,
            claims::the_same_request_gets_the_same_claim,
            claims::a_request_is_remembered_after_its_claim_ended,
            claims::request_ids_of_two_agents_are_two_requests,
            claims::epochs_grow_with_every_grant,
            claims::the_decision_is_stored_with_its_claim,
            claims::no_decision_is_stored_without_a_claim,
            claims::lists_are_filtered_and_oldest_first,
            claims::a_failing_write_does_not_fail_its_batch,
            decisions::a_decision_comes_back_with_the_issues_as_they_were,
            decisions::a_state_of_an_issue_is_kept_as_long_as_decisions_refer_to_it,
            decisions::a_state_that_an_undone_write_kept_is_kept_by_the_next,
            decisions::a_decision_of_a_live_claim_stays_however_old,
            decisions::that_there_was_nothing_is_a_decision_too,
            decisions::decisions_are_listed_newest_first_and_filtered,
            decisions::decisions_and_their_issues_are_there_after_reopening,
            steps::a_claim_goes_all_the_way,
            steps::a_released_issue_is_free_again,
            steps::only_the_owner_moves_a_claim,
            steps::a_late_epoch_is_superseded,
            steps::a_sweep_does_not_undo_what_the_owner_did_meanwhile,
            steps::an_owner_mismatch_is_told_before_the_epoch,
            steps::a_refused_step_changes_nothing,
            steps::a_heartbeat_renews_the_lease_without_an_event,
            steps::a_lapsed_claim_blocks_until_it_is_taken_back,
            steps::a_closed_claim_marks_its_issue_as_finished,
            steps::a_released_claim_leaves_no_finished_mark,
            issues::a_batch_counts_what_is_new_and_what_changed,
            issues::what_did_not_change_is_not_announced,
            issues::what_was_finished_before_it_was_known_is_told_as_finished,
            issues::a_changed_body_is_kept,
            issues::an_issue_closed_on_github_closes_its_claim,
            issues::closing_on_github_clears_the_finished_mark,
            issues::a_removed_issue_keeps_its_claim,
            issues::lists_hold_open_unclaimed_issues_by_number,
            issues::labels_and_milestones_are_compared_trimmed_and_without_case,
            issues::every_field_of_an_issue_is_kept,
            issues::a_text_with_a_nul_is_written_and_written_again_changes_nothing,
            approvals::an_approval_covers_its_text_until_that_is_edited_and_again_when_it_is_put_back,
            approvals::the_event_says_who_approved_and_who_took_it_back,
            approvals::what_was_taken_back_stays_so_whatever_older_word_a_list_tells_again,
            approvals::a_label_that_was_taken_off_takes_its_word_along,
            approvals::a_label_does_not_take_the_place_of_an_operators_word_on_the_present_text,
            approvals::a_later_word_takes_the_place_of_an_earlier_and_the_same_one_is_kept_once,
            approvals::a_text_that_changed_while_it_was_looked_at_is_not_approved,
            approvals::an_approval_outlives_a_closing_and_not_the_issue,
            approvals::a_labelled_issue_is_asked_about_again_when_it_changed,
            blockers::what_a_text_names_is_announced_when_it_changes_and_kept_over_a_restart,
            blockers::a_closed_issue_waits_for_nothing_until_it_is_open_again,
            blockers::githubs_dependencies_are_due_when_it_says_so_longest_waiting_first,
            blockers::what_github_said_of_a_blocker_holds_until_that_is_closed_or_forgotten,
            blockers::a_dependency_comes_and_goes_by_itself_and_is_read_again,
            policies::a_set_comes_back_as_it_was_the_newest_first,
            policies::the_last_sets_are_kept_with_the_components_that_they_name,
            policies::a_component_is_kept_in_pieces_and_read_back_whole,
            policies::who_wished_a_ranker_is_noted_with_the_set_that_has_it_and_told,
            policies::a_word_on_a_ranker_is_spent_on_the_set_that_got_it,
            policies::a_trial_is_counted_by_the_hour_and_by_candidate,
            policies::the_last_disagreements_and_hours_are_kept_however_many_there_were,
            repos::repositories_are_kept_and_differences_announced,
            repos::a_removed_repository_takes_its_issues_along,
            repos::cursors_are_kept_with_their_batch,
            repos::cursors_of_lists_and_marks_are_kept_and_go_with_their_repository,
            repos::open_numbers_are_those_of_open_issues_claimed_or_not,
            runs::an_issue_has_one_run_at_a_time_and_another_once_that_ended,
            runs::racing_runs_of_an_issue_are_one,
            runs::who_writes_an_older_state_of_a_run_writes_nothing,
            runs::a_changed_status_of_a_run_makes_one_event_and_nothing_else_does,
            runs::a_run_is_there_with_all_it_holds_after_reopening,
            runs::runs_are_listed_oldest_first_and_those_that_ended_only_if_asked_for,
            runs::a_run_is_found_by_its_pull_request_and_by_the_end_of_its_id,
            runs::what_runs_used_counts_once_on_its_day_and_in_its_repository,
            runs::the_newest_runs_that_ended_are_kept_and_every_active_one,
            runs::the_newest_run_of_an_issue_stays_however_many_others_ended_since,
            runs::dispatch_is_paused_and_resumed_with_who_said_so,
            runs::a_reissued_claim_is_its_agents_still_and_what_was_sent_before_is_too_late,
            runs::a_run_that_is_queued_again_is_active_until_it_ends,
            runs::a_run_does_not_begin_while_another_works_on_one_of_its_issues,
            runs::a_word_to_a_run_is_there_until_it_is_forgotten_and_an_event_tells_of_it,
            run_logs::a_log_goes_on_where_it_was_left_and_is_read_in_parts,
            run_logs::a_log_is_bounded_and_its_newest_lines_stay,
            run_logs::logs_go_with_the_runs_that_are_no_longer_kept,
            events::events_are_numbered_in_the_order_of_changes,
            events::the_observer_sees_exactly_what_was_committed,
            events::a_write_is_observed_before_it_is_answered,
            events::a_page_of_events_is_bounded,
            events::events_of_their_own_are_appended,
            follow_ups::a_piece_of_feedback_makes_one_follow_up,
            follow_ups::the_first_on_offer_is_taken_once,
            follow_ups::one_kept_for_another_agent_is_passed_by_until_the_grace_is_over,
            follow_ups::the_same_request_gets_the_same_follow_up,
            follow_ups::a_request_that_got_a_claim_gets_no_follow_up,
            follow_ups::a_request_for_work_that_got_a_follow_up_gets_no_claim,
            follow_ups::a_sweep_does_not_undo_what_its_agent_did_meanwhile,
            follow_ups::the_end_of_a_pull_request_settles_all_of_its_follow_ups,
            follow_ups::a_push_resolves_what_an_agent_had_and_marks_the_rest,
            follow_ups::a_push_answers_nothing_that_came_after_it,
            follow_ups::they_are_listed_most_urgent_first_and_filtered,
            follow_ups::a_request_id_does_not_go_to_another_agent_with_its_follow_up,
            follow_ups::a_request_whose_follow_up_ended_gets_nothing_new,
            follow_ups::a_push_does_not_end_what_was_taken_after_it,
            follow_ups::as_many_as_may_be_and_none_that_gives_way_refuse_the_next,
            follow_ups::too_many_make_the_least_urgent_free_ones_give_way,
            follow_ups::feedback_is_remembered_when_its_follow_up_is_trimmed,
            follow_ups::racing_agents_share_out_every_follow_up_once,
            follow_ups::feedback_that_came_before_its_claim_is_kept_for_the_claims_agent,
            pulls::an_older_description_changes_nothing,
            pulls::what_a_description_does_not_say_stays_as_known,
            pulls::a_delivery_is_remembered_over_a_restart,
            pulls::a_claim_follows_its_pull_request_step_by_step,
            pulls::a_claim_that_stands_further_stays_there,
            pulls::a_claim_is_released_with_its_pull_request,
            places::where_an_issue_goes_is_kept_and_told_again_to_who_may_have_forgotten,
            places::an_issue_that_changed_since_is_to_be_looked_at_again,
            places::what_is_learnt_of_a_repository_is_kept_and_goes_with_it,
            places::issues_are_read_with_their_texts_and_unknown_ones_are_left_out,
            signals::signs_of_life_are_kept_for_as_long_as_their_claim_is_active,
            signals::who_loses_a_claim_to_others_is_told_and_who_gives_it_up_is_not,
            keeping::everything_is_there_after_reopening,
            keeping::past_claims_are_trimmed_and_their_decisions_by_a_bound_of_their_own,
            keeping::an_epoch_grows_even_when_its_past_is_trimmed,
            keeping::events_are_trimmed_and_numbers_never_come_back,
            keeping::the_last_call_of_an_agent_is_kept_and_never_goes_back,
            keeping::the_snapshot_shares_equal_texts,
            tokens::a_token_is_kept_with_everything_but_itself,
            tokens::a_token_is_revoked_once_and_the_observer_hears_it_first,
            past::past_claims_come_newest_end_first_on_pages_of_any_size,
            past::a_page_goes_on_where_the_last_one_ended_whatever_ends_meanwhile,
            past::a_past_claim_is_found_by_its_agent_and_the_end_of_its_id,
            past::the_history_of_one_agent_or_repository_holds_no_other,
            operator::an_operator_takes_a_claim_back_and_the_event_says_who_and_why,
            operator::a_reassigned_claim_is_the_new_owners_and_the_former_one_is_fenced_off,
            operator::a_request_id_stays_with_the_agent_that_sent_it,
            operator::a_lapsed_claim_can_be_reassigned_and_is_in_progress_again,
            imports::claims_from_elsewhere_are_exclusive_here_and_twice_is_once,
            imports::a_live_claim_of_another_is_never_touched_by_an_import,
            imports::work_that_was_closed_elsewhere_is_not_handed_out_again,
            imports::work_that_was_closed_where_a_copy_was_made_of_is_not_handed_out_by_the_copy,
            imports::a_trial_import_answers_the_same_and_changes_nothing,
            imports::an_export_taken_into_an_empty_store_is_the_same_state,
            imports::a_history_without_room_passes_over_what_it_would_trim,
            follow_up_imports::follow_ups_from_elsewhere_are_work_here_and_twice_is_once,
            follow_up_imports::feedback_of_an_imported_follow_up_makes_no_second_one,
            follow_up_imports::a_follow_up_that_is_here_is_never_touched_by_an_import,
            follow_up_imports::a_trial_import_of_follow_ups_answers_the_same_and_changes_nothing,
            follow_up_imports::an_import_makes_nothing_here_give_way,
            follow_up_imports::what_ended_is_listed_newest_end_first_and_taken_elsewhere_as_it_was,
            races::one_issue_has_one_owner_among_many,
            races::racing_agents_share_out_every_issue_once,
            races::concurrent_retries_of_a_request_get_one_claim,
            races::claims_and_releases_interleave_without_two_owners,
            races::a_caller_that_goes_away_disturbs_nobody,
        }
    };
    (@cases $name:ident, $engine:expr; $($module:ident::$case:ident,)+) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    // Where the machine has no such database it was said already.
                    if let Some(engine) = tokio::task::spawn_blocking(|| $engine).await.unwrap() {
                        let engine: std::sync::Arc<dyn super::bed::Engine> = std::sync::Arc::new(engine);
                        super::$module::$case(super::bed::Bed::on(std::sync::Arc::clone(&engine)).await).await;
                        assert_eq!(super::bed::faults(&*engine).await, Vec::<String>::new());
                    }
                }
            )+
        }
    };
}

conformance!(on_sqlite, Some(crate::bed::Sqlite::fresh()));
conformance!(on_postgres, crate::bed::OnPostgres::fresh());
