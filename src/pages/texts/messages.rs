//! The texts of results and errors.

use super::define::texts;

texts! {
    /// The texts of results and errors: each has a title, which is the heading too, and what to do next.
    MessageTexts {
        /// The person let a device in.
        allowed: "Device connected";
        /// What to do next.
        allowed_next: "{program} can use {gateway} now. Close this page and go back to your device." with program, gateway;
        /// The person refused a device.
        denied: "Device refused";
        /// What to do next.
        denied_next: "Nothing was connected. You can close this page.";
        /// The code or its page is too old, or was answered already.
        code_expired: "This code is no longer good";
        /// What to do next.
        code_expired_next: "Codes are good for a few minutes, and once. Start again on your device for a new one.";
        /// The link to the form for a code.
        another_code: "Enter another code";
        /// The person stayed on the page for too long.
        page_expired: "This page is too old";
        /// What to do next.
        page_expired_next: "Nothing was allowed. Go back to the program and start again there.";
        /// The page of a program was answered a second time.
        answered: "You have answered already";
        /// What to do next.
        answered_next: "Each request can be answered once. If the program still waits, start again there.";
        /// The request of a program cannot be trusted.
        bad_request: "This request cannot be used";
        /// The program is unknown.
        unknown_client: "The program that sent you here is not known to {gateway}." with gateway;
        /// The description of the program could not be read.
        client_metadata: "The description of the program that sent you here could not be read.";
        /// The program names no address to return to, and more or less than one is registered.
        redirect_missing: "The program did not say where to return to.";
        /// The program wants to return to an address that is not its own.
        redirect_unknown: "The program wants to return to an address that is not registered for it.";
        /// The request is malformed.
        malformed: "The request is incomplete or malformed.";
        /// What to do next after each of these.
        bad_request_next: "Nothing was allowed, and nothing was sent to the program. If you trust it, tell its makers.";
        /// A program that nobody here vouches for made a mistake, or asks for what the person may not give.
        return_next: "Nothing was allowed. The program made a mistake, or asks for what you cannot give. Return to {host} only if you know it." with host;
        /// The link to the program.
        return_link: "Return to {host}" with host;
        /// A page of another site sent the form.
        cross_site: "Another site sent this request";
        /// What to do next.
        cross_site_next: "Nothing was changed. Open this page from its own address and try again.";
        /// Too many codes were tried.
        too_many: "Too many attempts";
        /// What to do next.
        too_many_next: "Try again in {seconds} s." with seconds;
        /// The gateway cannot answer.
        unavailable: "This cannot be done right now";
        /// What to do next.
        unavailable_next: "Nothing was changed. Wait a moment, then try again.";
        /// The person's account is disabled.
        disabled: "Your account is disabled";
        /// What to do next.
        disabled_next: "No device can be connected. Ask the people who run {gateway}." with gateway;
    }
}
