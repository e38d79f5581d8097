//! The texts of the pages on which a person lets a program in.

use super::define::texts;

texts! {
    /// The texts of `/device`.
    DeviceTexts {
        /// The title of the page with the form for the code.
        entry_title: "Connect a device";
        /// The heading of that page.
        entry_heading: "Connect a device";
        /// What the person types.
        entry_lead: "Enter the code that the program on your device shows.";
        /// The label of the code's field.
        code: "Code";
        /// What a code looks like.
        code_hint: "8 letters, such as BCDF-GHJK. Small letters are fine, and the dash may be left out.";
        /// The button that shows who asks.
        next: "Continue";
        /// What was typed is not a code.
        not_a_code: "That is not a code. A code has 8 letters and no vowels.";
        /// No program waits for an answer with this code.
        unknown_code: "That code is wrong or too old. Check the letters, or start again on your device for a new code.";
        /// The warning below the form.
        entry_warning: "Only enter a code that you see on your own device. Never enter a code that somebody sent you.";
        /// The title of the page that asks for a decision.
        confirm_title: "Allow this device?";
        /// The heading of that page.
        confirm_heading: "Connect {program} to {gateway}?" with program, gateway;
        /// The first line of the warning.
        confirm_warning: "Only continue if you started this yourself.";
        /// The rest of the warning.
        confirm_compare: "Your device must show the same code:";
        /// The address of the device.
        asked_from: "Asked from";
    }
}

texts! {
    /// The texts of `/authorize`.
    ConsentTexts {
        /// The title of the page.
        title: "Allow this program?";
        /// The heading of the page.
        heading: "Allow {program} to use {gateway}?" with program, gateway;
        /// Where the browser goes after the decision.
        returns_to: "Returns to";
        /// Instead of a host: the program runs on the person's computer.
        this_computer: "This computer ({host})" with host;
        /// Above the buttons.
        closing: "Only allow a program that you started yourself. You can sign it out at any time.";
    }
}
