//! The command line, and the environment variables that stand for it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand};
use reqwest::Method;
use url::Url;

/// Calls an AI gateway on a person's behalf.
///
/// Ends with 3 when a code is needed to link (again), and with 1 when anything else is wrong.
#[derive(Parser)]
#[command(name = "bridge", version)]
pub struct Options {
    /// The gateway to link to; afterwards the credential knows [default: http://127.0.0.1:8080]
    #[arg(long, env = "BRIDGE_GATEWAY", value_name = "URL", global = true)]
    pub gateway: Option<Url>,

    /// Where the credential is kept [default: bridge.json in your data folder]
    #[arg(long, env = "BRIDGE_CREDENTIAL", value_name = "FILE", global = true)]
    pub credential: Option<PathBuf>,

    /// Sends the token over plain http to other machines too: whoever listens can use it
    #[arg(long, global = true)]
    pub insecure_http: bool,

    /// Reads a new code from standard input when this device was signed out; a terminal is asked anyway
    #[arg(long, global = true)]
    pub relink: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Makes a PKCE challenge to ask for a code with; the next `link` proves it
    Challenge,
    /// Trades a one-time code for a credential
    Link {
        /// The code; `-` reads it from standard input, which keeps it out of the process list
        #[arg(default_value = "-")]
        code: String,
        /// What this device is called in the person's list of sessions
        #[arg(long, value_name = "NAME")]
        device_name: Option<String>,
        /// The session id to ask for [default: the gateway's choice]
        #[arg(long, value_name = "ID")]
        session_id: Option<String>,
        /// Leaves the verifier of an earlier `challenge` aside
        #[arg(long)]
        no_pkce: bool,
    },
    /// Calls the gateway and prints the answer's body
    #[command(allow_missing_positional = true)]
    Call {
        /// [default: GET, or POST with --data]
        method: Option<Method>,
        /// The path at the gateway, such as /v1/whoami
        path: String,
        /// A JSON body; `-` reads it from standard input
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
    },
    /// Lets programs on this machine call the gateway, and renews the credential until it is stopped
    Serve {
        /// Where to listen, on loopback alone; port 0 takes a free one
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
        listen: SocketAddr,
        /// What the programs must show as bearer token or x-api-key; made and printed when missing
        #[arg(long, env = "BRIDGE_LOCAL_KEY", value_name = "KEY", hide_env_values = true,
            value_parser = NonEmptyStringValueParser::new())]
        key: Option<String>,
    },
    /// Prints a token for this person's hooks, which are provisioned when it is the first
    HookToken {
        /// What it shall allow [default: all that hooks may]
        #[arg(long)]
        scope: Option<String>,
        /// The resource that it is for (RFC 8707) [default: the gateway's choice]
        #[arg(long, value_name = "URL")]
        resource: Option<String>,
        /// Gets a new one, whatever is kept
        #[arg(long)]
        new: bool,
    },
    /// Lists what is signed in as this person
    Sessions,
    /// Gets an OAuth client for this person's hooks; its secret is shown once
    Provision,
    /// Ends the session and removes the credential
    Logout,
}
