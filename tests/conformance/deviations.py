"""Where other emulators do not do what the contract tests ask for, with the reason and the tests it shows in.

A name without parameters stands for all of them. A deviation that is no longer there fails the run.
"""

from collections.abc import Mapping

Reasons = Mapping[str, tuple[str, ...]]

STAND_IN: Reasons = {}

MOTO: Reasons = {
    "the parent of a split or merge keeps taking records and never ends; no ChildShards": (
        "test_records_go_to_the_child_that_has_their_hash_key",
        "test_a_closed_shard_that_is_drained_names_its_children",
        "test_an_iterator_from_before_the_split_reads_on_to_the_end_of_its_shard",
        "test_an_empty_shard_that_closed_ends_on_its_first_page",
        "test_both_parents_name_the_child_of_a_merge_with_both_parents",
        "test_a_reader_may_go_on_after_the_last_record_of_a_closed_shard",
        "test_a_closed_shard_is_not_merged",
    ),
    "OpenShardCount is wrong after a split": ("test_the_open_shards_are_counted_after_every_change",),
    "ShardFilter is ignored": (
        "test_a_split_closes_the_shard_and_opens_two_that_share_its_keys",
        "test_a_merge_closes_two_neighbours_and_opens_one_with_two_parents",
        *(
            f"test_scaling_leaves_as_many_equal_shards_as_were_asked_for[{counts}]"
            for counts in ("1-2", "2-4", "3-6", "4-2", "6-3", "2-3", "3-2", "4-5", "5-3", "7-11")
        ),
        "test_a_filter_needs_what_it_compares_with",
    ),
    "UpdateShardCount leaves unequal shards": (
        "test_scaling_by_halves_goes_through_short_lived_shards_that_stay_in_the_lineage",
    ),
    "UpdateShardCount has no limits": ("test_scaling_goes_no_further_than_to_double_or_half",),
    "on-demand streams are resharded like others": ("test_only_the_service_scales_an_on_demand_stream",),
    "a shard may be split at its second key": ("test_a_split_needs_a_key_well_inside_of_the_shard[1]",),
    "a closed shard ends at its last record, and sequence numbers are 1, 2, 3…": (
        "test_a_closed_shard_ends_above_its_records_and_takes_no_iterator_there",
        "test_a_shard_starts_below_its_first_record",
    ),
    "the highest hash key is answered with 500": (
        "test_a_record_is_read_back_from_the_shard_its_hash_key_names",
        "test_a_number_of_another_shard_is_refused",
    ),
    "a request may have 5 MiB, a record any size": (
        "test_a_batch_holds_ten_mebibytes_of_data_and_keys",
        "test_a_record_holds_one_mebibyte_of_data_and_key",
        "test_a_stream_for_large_records_takes_them",
        "test_larger_records_may_be_allowed_later",
    ),
    "GetRecords gives more than 10,000 records and 10 MiB": (
        "test_a_page_has_up_to_10000_records",
        "test_a_page_has_up_to_ten_mebibytes",
    ),
    "positions are not checked, or with another error": (
        "test_a_timestamp_in_the_future_is_refused",
        "test_an_iterator_by_position_needs_the_position",
        "test_an_iterator_without_position_takes_no_sequence_number",
        "test_a_number_that_no_shard_gives_is_refused",
        "test_a_text_that_is_no_sequence_number_breaks_the_model",
        "test_an_unknown_iterator_type_breaks_the_model",
        "test_a_made_up_iterator_is_refused",
    ),
    "ExclusiveStartShardId is ignored, and page tokens want the request repeated": (
        "test_shards_are_listed_page_by_page",
        "test_a_shard_list_starts_after_the_shard_named",
        "test_a_page_token_goes_without_the_stream",
        "test_a_made_up_page_token_is_refused",
        "test_open_shards_are_listed_by_their_ids_page_by_page_however_their_keys_lie",
    ),
    "ListStreams has no NextToken": ("test_streams_are_listed_page_by_page",),
    "other errors for requests that lack something": (
        "test_a_provisioned_stream_needs_a_shard_count",
        "test_a_request_without_a_stream_is_refused",
        "test_a_split_key_that_is_no_number_breaks_the_model[01]",
        f"test_a_split_key_that_is_no_number_breaks_the_model[{'1' * 40}]",
    ),
    "DryRun is ignored": ("test_a_dry_run_writes_nothing",),
    "records and answers do not tell of encryption": (
        "test_an_encrypted_stream_says_so_everywhere",
        "test_only_records_put_meanwhile_are_encrypted",
    ),
    "no record distribution strategy": (
        "test_automatic_distribution_spreads_records_of_one_key",
        "test_automatic_distribution_returns_the_partition_keys_it_was_given_and_no_others",
        "test_a_partition_key_is_needed_unless_distribution_is_automatic",
        "test_a_provisioned_stream_has_no_distribution_strategy",
    ),
    "EventBridge: entries are hardly checked, and neither is the size of a request": (
        "test_a_request_in_which_every_entry_lacks_a_field_fails",
        "test_json_that_is_no_object_aws_takes_is_malformed",
        "test_a_source_of_aws_is_not_authorised",
        "test_a_detail_type_has_up_to_128_characters",
        "test_a_request_holds_one_mebibyte_by_the_size_formula",
        "test_time_and_resources_count_towards_the_size",
        "test_an_archive_keeps_what_its_pattern_matches_whether_a_rule_does_or_not",
    ),
    "EventBridge: a detail of 1,000 levels is answered with 500": ("test_a_detail_may_be_1000_levels_deep",),
    "EventBridge: a delivered event has no account": ("test_a_delivered_event_has_the_envelope_of_aws",),
    "EventBridge: the detail is written anew": ("test_the_detail_is_delivered_character_for_character",),
    "EventBridge: disabled rules deliver": (
        "test_a_disabled_rule_delivers_nothing",
        "test_a_rule_is_disabled_and_enabled_again",
    ),
    "EventBridge: patterns are hardly checked, and TestEventPattern answers nothing": (
        "test_a_pattern_is_tested_against_an_event",
        "test_an_event_to_be_tested_needs_the_fields_of_every_event",
        "test_what_is_no_event_is_not_tested",
        "test_a_pattern_that_breaks_the_language_is_refused_with_the_reason",
        "test_a_pattern_has_up_to_2048_characters",
    ),
    "EventBridge: a replay takes all events of the archive": ("test_only_events_of_the_time_asked_for_are_replayed",),
    "EventBridge: replays are not found by their state": ("test_replays_are_listed_by_one_filter",),
    "EventBridge: the second page of targets is the first one again": ("test_targets_are_listed_page_by_page",),
    "EventBridge: an invalid NextToken is an InvalidToken, which no model has": (
        "test_a_token_that_was_made_up_or_is_of_another_list_opens_nothing",
    ),
    "EventBridge: a bus with rules can be deleted, and a rule has more than five targets": (
        "test_a_bus_with_rules_is_not_deleted",
        "test_a_rule_has_at_most_five_targets",
    ),
    "SQS: there are FIFO queues": ("test_a_fifo_queue_is_refused_rather_than_imitated",),
}

KINESIS_LOCAL: Reasons = {
    "a closed shard ends at 9223372036854775807, which is not found then": (
        "test_a_closed_shard_ends_above_its_records_and_takes_no_iterator_there",
    ),
    "UpdateShardCount cuts shards in halves and leaves unequal ones": (
        *(
            f"test_scaling_leaves_as_many_equal_shards_as_were_asked_for[{counts}]"
            for counts in ("2-3", "3-2", "4-5", "5-3", "7-11")
        ),
        "test_scaling_by_halves_goes_through_short_lived_shards_that_stay_in_the_lineage",
    ),
    "UpdateShardCount rounds half of an odd count down": ("test_scaling_goes_no_further_than_to_double_or_half[5-2]",),
    "on-demand streams are resharded like others": ("test_only_the_service_scales_an_on_demand_stream",),
    "ResourceInUseException where AWS has InvalidArgumentException": (
        "test_a_shard_is_split_once",
        "test_a_closed_shard_is_not_merged",
    ),
    "a shard may be split at its ends": ("test_a_split_needs_a_key_well_inside_of_the_shard",),
    "requests may be larger than AWS takes, and a record may not": (
        "test_a_batch_holds_500_records",
        "test_a_batch_holds_ten_mebibytes_of_data_and_keys",
        "test_a_record_holds_one_mebibyte_of_data_and_key",
        "test_a_stream_for_large_records_takes_them",
    ),
    "a page ends before 10 MiB": ("test_a_page_has_up_to_ten_mebibytes",),
    "InvalidArgumentException, SerializationException or 500 where the model has ValidationException": (
        "test_a_text_that_is_no_sequence_number_breaks_the_model",
        "test_an_unknown_iterator_type_breaks_the_model",
        "test_a_split_key_that_is_no_number_breaks_the_model",
        "test_a_page_has_up_to_10000_records",
    ),
    "a made-up iterator is answered with 500": ("test_a_made_up_iterator_is_refused",),
    "positions are not checked": (
        "test_a_timestamp_in_the_future_is_refused",
        "test_an_iterator_without_position_takes_no_sequence_number",
        "test_a_number_that_no_shard_gives_is_refused",
        "test_a_number_of_another_shard_is_refused",
    ),
    "a stream in PROVISIONED mode needs no ShardCount": ("test_a_provisioned_stream_needs_a_shard_count",),
    "ListStreams has no NextToken": ("test_streams_are_listed_page_by_page",),
    "DryRun is ignored": ("test_a_dry_run_writes_nothing",),
    "records of streams that are not encrypted have EncryptionType NONE": (
        "test_only_records_put_meanwhile_are_encrypted",
    ),
    "no record distribution strategy": (
        "test_automatic_distribution_spreads_records_of_one_key",
        "test_automatic_distribution_returns_the_partition_keys_it_was_given_and_no_others",
        "test_a_partition_key_is_needed_unless_distribution_is_automatic",
        "test_a_provisioned_stream_has_no_distribution_strategy",
    ),
}

DEVIATIONS: Mapping[str, Mapping[str, str]] = {
    target: {test: reason for reason, tests in reasons.items() for test in tests}
    for target, reasons in {"stand-in": STAND_IN, "moto": MOTO, "kinesis-local": KINESIS_LOCAL}.items()
}
