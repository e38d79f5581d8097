//! The texts of the operators' pages.

use super::define::texts;

texts! {
    /// The texts of the operators' pages.
    OperatorTexts {
        /// The title of the page with the search.
        title: "People";
        /// The heading of that page.
        heading: "People";
        /// The label of the field.
        search: "User id or label";
        /// What the search finds.
        search_hint: "The beginning of a user id or of a label, such as an e-mail address.";
        /// The button.
        find: "Find";
        /// Above what was found.
        results: "Found";
        /// Nobody was found.
        nobody: "Nobody was found.";
        /// The id of a person.
        user_id: "User id";
        /// The label of a person.
        label: "Label";
        /// The state of a person's account.
        account: "Account";
        /// The account is enabled.
        enabled: "Enabled";
        /// The account is disabled.
        disabled: "Disabled";
        /// Above the state of the gateway.
        health: "Health";
        /// The title of the page with one person.
        person_title: "One person";
        /// The link back to the search.
        back: "All people";
        /// Above the person's devices.
        devices: "Devices";
        /// Opens the button that signs all devices out.
        end_all: "Sign out all devices…";
        /// What that button does.
        end_all_lead: "Every device of this person must sign in again.";
        /// The button itself.
        end_all_confirm: "Sign out all devices";
        /// Opens the button that disables the account.
        disable: "Disable this account…";
        /// What that button does.
        disable_lead: "All devices of this person are signed out at once, and none can be connected until you enable the account again.";
        /// The button itself.
        disable_confirm: "Disable the account";
        /// The button that enables the account.
        enable: "Enable the account";
        /// Above the audit events.
        events: "Last events";
        /// The host keeps no audit events.
        events_not_kept: "This gateway keeps no audit events.";
        /// The audit events cannot be read now.
        events_unavailable: "The audit events cannot be read right now.";
        /// There is no event of this person.
        no_events: "No events.";
        /// When an event happened.
        event_time: "Time";
        /// What happened.
        event_name: "Event";
        /// Its details.
        event_details: "Details";
    }
}

texts! {
    /// The texts of the state of the gateway.
    HealthTexts {
        /// Whether verdicts are proven fresh.
        freshness: "Freshness";
        /// They are.
        proven: "Proven";
        /// They are not: every request asks the store.
        not_proven: "Not proven: every request asks the store";
        /// How old the proof is.
        age: "Age of the proof";
        /// There was no proof yet.
        no_proof: "None yet";
        /// A time in milliseconds.
        milliseconds: "{count} ms" with count;
        /// How many ticks and readings have failed.
        faults: "Faults since the start";
        /// Why the last one failed.
        last_fault: "Last fault";
        /// What is promised when another server takes over.
        replication: "Replication";
        /// How long the last look-up took.
        look_up: "Last look-up";
        /// The connections of the store's pool.
        connections: "Connections";
        /// How many are in use.
        in_use: "{count} of {limit} in use" with count, limit;
        /// How many requests were answered 503.
        unavailable: "Answered 503 since the start";
    }
}
