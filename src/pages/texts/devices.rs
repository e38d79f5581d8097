//! The texts of the page with a person's devices.

use super::define::texts;

texts! {
    /// The texts of `/devices`, and of the list of devices on the operators' page.
    DevicesTexts {
        /// The title of the page.
        title: "Your devices";
        /// The heading of the page.
        heading: "Your devices";
        /// What the list shows.
        lead: "These devices can use {gateway} in your name. Sign out each one that you do not know." with gateway;
        /// There are no devices.
        none: "No device is signed in.";
        /// The device that the browser belongs to.
        this_one: "This one";
        /// Opens the rest of what is known of a device.
        details: "Details";
        /// When the person let the device in.
        linked: "Connected";
        /// When the device last renewed its session.
        renewed: "Last active";
        /// When the person must sign in again.
        ends: "Ends";
        /// What the device may do.
        may: "Can";
        /// Scripts on the device that have tokens of their own.
        hooks: "Scripts";
        /// The device has such scripts.
        has_hooks: "Scripts on this device can call {gateway} too. They are signed out with it." with gateway;
        /// Programs that act for the person by what the device was let in for (RFC 8693).
        agents: "Agents";
        /// There are such programs.
        has_agents: "Agents act through this device too. They are signed out with it.";
        /// The button that signs a device out.
        end: "Sign out";
        /// Opens the button that signs all other devices out.
        end_others: "Sign out all other devices…";
        /// What that button does.
        end_others_lead: "Every device in your list but this one must sign in again.";
        /// Opens the button that signs all devices out, when the browser belongs to none of them.
        end_all: "Sign out all devices…";
        /// What that button does.
        end_all_lead: "Every device in your list must sign in again.";
        /// The button itself.
        end_confirm: "Sign them out";
    }
}
