//! Every transcript in tests/transcripts, each a test of its own name.

mod support;

use support::transcript;

macro_rules! transcripts {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                transcript::run(stringify!($name));
            }
        )+

        #[test]
        fn every_transcript_is_run() {
            let listed = [$(stringify!($name)),+];
            assert_eq!(transcript::names(), listed, "the list in this file, sorted, and the directory");
        }
    };
}

transcripts! {
    a_bare_cr_in_a_command_is_refused
    a_bare_lf_in_a_command_is_refused
    a_declared_size_over_the_limit_is_552
    a_foreign_language_can_mean_no_verdict
    a_foreign_language_is_judged_and_the_record_says_so
    a_message_over_the_limit_is_read_on_and_552
    a_message_without_headers_is_judged_by_its_text
    a_refusal_of_the_outbound_server_is_passed_on
    a_utf8_address_without_smtputf8_is_refused
    amex_2021_app_push
    amex_2021_getting_the_most
    amex_2021_offers_tab
    amex_2021_spend_and_get
    an_empty_message_is_judged_and_forwarded
    bdat_gives_the_same_bytes_as_data
    bdat_out_of_place_is_refused_and_its_octets_are_no_commands
    body_8bitmime_is_carried
    commands_in_any_case
    commands_out_of_sequence_are_503
    consent_covers_a_tagged_address
    consent_that_ran_out_is_no_consent
    declared_marketing_needs_consent_whatever_its_words
    dots_are_unstuffed_and_stuffed_again
    ehlo_lists_what_is_offered
    ehlo_resets_the_transaction
    http_on_the_port_is_sent_away
    indonesian_app_push_in_base64
    indonesian_spend_and_get
    mail_before_ehlo_is_503
    marketing_to_an_unknown_recipient_is_refused
    marketing_to_one_who_refused_is_refused
    marketing_with_consent_is_forwarded
    monitor_forwards_what_enforce_would_withhold
    no_recipient_accepted_means_no_data
    noop_help_and_vrfy_give_nothing_away
    null_reverse_path_is_forwarded
    one_received_line_is_added
    one_withheld_recipient_withholds_the_message
    pipelined_commands_are_answered_in_order
    quoted_local_part_is_carried_as_written
    rset_forgets_the_envelope
    service_mail_goes_to_anyone
    smtputf8_addresses_are_carried
    smuggling_with_cr_dot_cr_is_refused
    smuggling_with_cr_dot_crlf_is_refused
    smuggling_with_crlf_dot_cr_is_refused
    smuggling_with_crlf_dot_lf_is_refused
    smuggling_with_lf_dot_crlf_is_refused
    smuggling_with_lf_dot_lf_is_refused
    soft_opt_in_counts_with_a_means_to_refuse
    soft_opt_in_without_a_means_to_refuse_is_withheld
    syntax_errors_are_named
    the_outbound_servers_answer_to_rcpt_is_the_mailers
    the_session_goes_on_after_a_refusal
    the_verdict_line_is_added_when_configured
    too_many_commands_end_the_session
    too_many_errors_end_the_session
    too_many_recipients_are_452
    what_is_not_offered_is_refused
}
