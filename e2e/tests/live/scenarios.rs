//! What can befall a stack, and where it does so on the real control plane. The simulated cluster (`src/rollout/tests`) deals these out at random, thousands of
//! times over; here each happens once and for certain, with every controller, the garbage collector and the server's own rules in play. The order
//! law and the laws of statuses are checked at the end of each.

use e2e::simulated::ONLY_SIMULATED;

/// What befalls it, and the test in which it does, as `module::test`.
const SCENARIOS: [(&str, &str); 43] = [
    // Between the operator and the API server.
    (
        "the operator is killed after any write of a rollout",
        "order::ten_kills_in_a_rollout_change_neither_order_nor_end",
    ),
    ("it is killed in the middle of going", "teardown::an_operator_that_is_killed_in_the_middle_goes_on_where_it_was"),
    ("an answer is lost; 409, 429 and 503", "faults::a_rollout_survives_lost_answers_and_refusals_and_comes_to_rest"),
    ("watches expire, with calls under way", "faults::a_rollout_survives_relists_and_comes_to_rest"),
    ("one watch is behind the others", "faults::a_stack_whose_end_is_told_late_starts_no_pods_again"),
    ("news that is nothing to us", "quiet::foreign_news_of_children_is_no_reason_to_write_them"),
    (
        "the server takes no such object",
        "bad_input::what_only_the_server_of_the_children_refuses_is_said_of_the_service",
    ),
    // Somebody else's hand.
    ("a foreign edit of what runs", "drift::edited_children_are_put_right_and_foreign_fields_stay"),
    ("a foreign deletion of what runs", "drift::deleted_children_are_put_right"),
    ("both in mid-rollout", "faults::a_dependency_that_somebody_spoils_in_mid_rollout_is_put_right_and_waited_for"),
    ("labels and owners are stripped", "drift::a_stripped_label_and_a_stripped_owner_are_put_back"),
    ("a foreign count", "autoscale::a_count_set_under_an_autoscaler_stays"),
    ("a foreign object has the name", "ownership::a_foreign_object_is_never_touched_and_the_rest_goes_on"),
    ("a foreign finalizer holds a pod", "teardown::a_stuck_pod_is_named_and_left_to_whoever_holds_it"),
    // Pods and nodes.
    ("a pod fails and heals", "order::a_dependency_that_turns_unhealthy_stops_nobody"),
    ("a pod crashes over and over", "order::started_is_satisfied_by_a_crash_loop_and_healthy_is_not"),
    ("a node is lost with its pods", "faults::pods_that_lose_their_node_are_told_and_replaced_in_mid_rollout_too"),
    ("an image is missing", "causes::a_missing_image_is_named_on_all_behind_it_and_heals"),
    ("a Secret is missing", "config::a_missing_secret_of_a_variable_is_named_and_heals"),
    ("no node takes a pod", "causes::a_pod_that_no_node_takes_is_named_on_all_behind_it_and_heals"),
    ("a quota is exceeded", "causes::an_exceeded_quota_is_named_on_all_behind_it_and_heals"),
    ("Pod Security refuses a pod", "causes::a_refusal_by_pod_security_is_named_on_all_behind_it_and_heals"),
    ("a Job fails", "causes::a_failed_job_is_named_on_all_behind_it_and_heals"),
    ("a deadline passes: Deployment", "causes::a_passed_deadline_is_named_on_all_behind_it_and_heals"),
    (
        "a deadline passes: the operator's own",
        "update::a_stateful_set_and_a_daemon_set_fail_at_their_deadlines_with_those_behind_them_and_heal",
    ),
    (
        "the next definition comes while the failed pod still stops",
        "update::a_new_definition_is_not_failed_by_the_deadline_of_the_one_before",
    ),
    (
        "a rollout fails and is rolled back",
        "update::a_rollout_that_fails_is_rolled_back_with_its_config_and_not_tried_again",
    ),
    ("a claim cannot be had as asked", "storage::claims_grow_and_what_cannot_be_done_is_named_and_blocks_nothing_else"),
    // Edits.
    ("random edits", "order::random_edits_never_break_the_order"),
    ("random edits of kinds, with kills", "kinds::changes_of_kind_never_break_the_order"),
    ("20 edits in 10 s", "switches::of_twenty_edits_in_ten_seconds_the_last_one_wins"),
    ("an edge is turned round", "switches::an_edge_turned_round_in_mid_rollout_turns_the_order_round"),
    ("a service goes while others roll", "switches::a_service_removed_while_others_roll_serves_until_they_are_done"),
    ("a service is renamed", "switches::a_renamed_services_old_pods_serve_until_its_new_ones_are_ready"),
    (
        "stopped, and back",
        "switches::a_stopped_stack_of_every_kind_comes_back_in_order_with_its_counts_and_runs_no_job_twice",
    ),
    (
        "suspended, and back",
        "switches::a_stack_suspended_in_mid_rollout_stays_there_and_goes_on_to_its_last_definition",
    ),
    ("a profile on and off", "switches::a_profile_goes_on_and_off_on_a_running_stack_and_its_claims_stay"),
    (
        "a definition changes while its Job runs",
        "jobs::two_runs_of_a_job_never_overlap_and_a_result_stays_until_the_next",
    ),
    ("a spec that cannot be, put right", "bad_input::what_the_operator_refuses_stalls_alone_and_heals"),
    ("deleted and made again under its name", "faults::a_stack_of_the_same_name_is_another_stack"),
    // Stacks of one namespace.
    ("a chain of three stacks", "neighbours::three_stacks_come_up_one_after_the_other_and_then_cost_nothing"),
    ("a circle of two stacks", "neighbours::two_stacks_that_wait_for_each_other_are_told_so_and_an_edit_heals_both"),
    ("a circle of three", "neighbours::stacks_in_a_circle_are_told_so_and_an_edit_heals_them_all"),
];

fn is_a_test(test: &str) -> bool {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live");
    let (module, name) = test.split_once("::").expect("module::test");
    let file = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap_or_default();
    file.contains(&format!("#[test]\nfn {name}() {{"))
}

#[test]
fn every_scenario_happens_in_a_test_that_there_is() {
    for (what, test) in SCENARIOS {
        assert!(is_a_test(test), "{what}: there is no {test}");
    }
}

#[test]
fn what_stays_on_simulated_nodes_is_a_test_that_there_is_and_says_why() {
    for (test, why) in ONLY_SIMULATED {
        assert!(is_a_test(test), "there is no {test}: take it off the list in e2e/src/simulated.rs");
        assert!(why.len() > 20, "{test} does not say why");
    }
    assert!(ONLY_SIMULATED.len() < 15, "all live tests run on real nodes, but for a few");
}
