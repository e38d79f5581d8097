//! The command line, and the environment variables that can replace it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use reqwest::Method;
use url::Url;

use crate::login::{LoginRequest, Place};

/// Calls an AI gateway on a person's behalf.
///
/// The exit code is 3 when the person must sign in (again), 130 after an interrupt, and 1 for every other error.
#[derive(Parser)]
#[command(name = "bridge")]
pub struct Options {
    /// The gateway to link to; after that, the credential names the gateway [default: http://127.0.0.1:8080]
    #[arg(long, env = "BRIDGE_GATEWAY", value_name = "URL", global = true)]
    pub gateway: Option<Url>,

    /// The file of the credential [default: bridge.json in your data folder]
    #[arg(long, env = "BRIDGE_CREDENTIAL", value_name = "FILE", global = true)]
    pub credential: Option<PathBuf>,

    /// Also sends the token over plain http to other machines; anyone who can read the network can then use the token
    #[arg(long, global = true)]
    pub insecure_http: bool,

    /// When this device was signed out, reads a code for `link` from standard input; at a terminal it always asks
    #[arg(long, global = true)]
    pub relink: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Signs this device in: prints a code, which the person allows in any browser
    Login(Login),
    /// Prints an access token and nothing else; it is renewed in time, and by one process at a time
    Token {
        /// Prints a JSON object with the members token and expires_at (Unix seconds)
        #[arg(long)]
        json: bool,
        /// Asks the gateway first whether the session lives; a gateway that does not answer counts as a yes
        #[arg(long)]
        check: bool,
    },
    /// Says who is signed in, at which gateway and until when
    Status {
        /// Prints a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Creates a PKCE challenge; ask for a code with it, and the next `link` proves it
    Challenge,
    /// Exchanges a one-time code for a credential
    Link {
        /// The code; `-` reads the code from standard input, which keeps it out of the process list
        #[arg(default_value = "-")]
        code: String,
        /// The name of this device in the person's list of sessions
        #[arg(long, value_name = "NAME")]
        device_name: Option<String>,
        /// The session id to ask for [default: the gateway chooses]
        #[arg(long, value_name = "ID")]
        session_id: Option<String>,
        /// Links without the verifier of an earlier `challenge`
        #[arg(long)]
        no_pkce: bool,
    },
    /// Calls the gateway and prints the body of the answer
    #[command(allow_missing_positional = true)]
    Call {
        /// The HTTP method [default: GET, or POST with --data]
        method: Option<Method>,
        /// The path on the gateway, such as /v1/whoami
        path: String,
        /// A JSON body; `-` reads it from standard input
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
    },
    /// Lets programs on this machine call the gateway, and renews the credential until the process stops
    Serve {
        /// The address to listen on, only on loopback; port 0 takes a free port
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
        listen: SocketAddr,
        /// The key that programs must send as bearer token, x-api-key or x-goog-api-key; without this option, one is
        /// created and printed
        #[arg(long, env = "BRIDGE_LOCAL_KEY", value_name = "KEY", hide_env_values = true,
            value_parser = NonEmptyStringValueParser::new())]
        key: Option<String>,
    },
    /// Prints a token for this person's hooks; the first call also provisions the hook client
    HookToken {
        /// The scopes of the token [default: all that hooks may have]
        #[arg(long)]
        scope: Option<String>,
        /// The resource that the token is for (RFC 8707) [default: the gateway chooses]
        #[arg(long, value_name = "URL")]
        resource: Option<String>,
        /// Gets a new token, even if a good one is stored
        #[arg(long)]
        new: bool,
    },
    /// Lists this person's sessions
    Sessions,
    /// Gets an OAuth client for this person's hooks; its secret is shown only once
    Provision,
    /// Ends the session at the gateway, and removes the credential
    Logout,
}

#[derive(Args)]
pub struct Login {
    /// The gateway [default: --gateway, or the gateway of the last sign-in]
    #[arg(value_name = "GATEWAY_URL")]
    pub at: Option<Url>,
    /// The id of this program as an OAuth client of the gateway
    #[arg(long, value_name = "ID", default_value = "sp_bridge", value_parser = NonEmptyStringValueParser::new())]
    pub client_id: String,
    /// The scopes to ask for, separated by spaces [default: the gateway chooses]
    #[arg(long)]
    pub scope: Option<String>,
    /// Asks for a token for this resource alone (RFC 8707); `sessions`, `provision` and `hook-token` need a token without
    #[arg(long, value_name = "URL")]
    pub resource: Option<Url>,
    /// Opens the address with the code in the browser of this machine
    #[arg(long, conflicts_with = "browser")]
    pub open: bool,
    /// Signs in in the browser of this machine, without a code
    #[arg(long)]
    pub browser: bool,
    /// With --browser: opens no browser, and only prints the address
    #[arg(long, requires = "browser")]
    pub no_open: bool,
    /// With --browser: how long to wait for the browser
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "browser")]
    pub timeout: u64,
}

impl Login {
    pub fn place(&self) -> Place {
        if self.browser {
            Place::Here { open: !self.no_open, patience: Duration::from_secs(self.timeout) }
        } else {
            Place::Anywhere { open: self.open }
        }
    }

    pub fn request(&self) -> LoginRequest {
        LoginRequest {
            client_id: self.client_id.clone(),
            scope: self.scope.clone(),
            resource: self.resource.clone(),
        }
    }
}
