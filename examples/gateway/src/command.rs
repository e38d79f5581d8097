//! The commands: to serve, which needs no word, to operate, and to run an identity provider.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser};
use url::Url;

use super::options::Options;

/// An AI gateway that lets people's bridges in.
#[derive(Parser)]
#[command(name = "gateway", args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Command {
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,

    #[command(flatten)]
    pub options: Options,
}

#[derive(clap::Subcommand)]
pub enum Subcommand {
    /// Operates a gateway that runs: finds people, ends sessions, locks people out
    Admin(Admin),
    /// Runs a small identity provider, to try identity assertions and offboarding with
    IdentityProvider(ProviderOptions),
}

/// How the identity provider serves. It asks nobody for a password.
#[derive(Args)]
pub struct ProviderOptions {
    /// The loopback address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub listen: String,

    /// The gateway that is told who has left
    #[arg(long, env = "BRIDGE_AUTH_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub gateway: Url,
}

/// Asks the `/admin` of a gateway that runs. The exit code is 0 when it is done, 2 when there is no such person or
/// session, and 1 otherwise.
#[derive(Args)]
pub struct Admin {
    /// The URL of the gateway
    #[arg(
        long,
        env = "BRIDGE_AUTH_URL",
        value_name = "URL",
        global = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: Url,

    /// The operators' token, which the gateway printed when it started; better set by the variable, because other users
    /// of the machine can read the command line
    #[arg(long, env = "BRIDGE_AUTH_ADMIN_TOKEN", value_name = "TOKEN", global = true, hide_env_values = true,
        value_parser = NonEmptyStringValueParser::new())]
    pub admin_token: Option<String>,

    /// Prints the gateway's own JSON
    #[arg(long, global = true)]
    pub json: bool,

    /// How many entries of a list the gateway is asked for at once: all are shown
    #[arg(long, value_name = "NUMBER", global = true, hide = true, default_value_t = 1000,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub page_size: u16,

    #[command(subcommand)]
    pub act: Act,
}

/// What an operator does.
#[derive(clap::Subcommand)]
pub enum Act {
    /// Finds people by their id, or by what their login calls them, such as an e-mail address
    Search {
        /// The beginning of the id, or of the label; empty: everyone
        #[arg(default_value = "")]
        text: String,
    },
    /// Lists what is signed in as a person
    Devices { user: String },
    /// Ends a session, and all that belongs to it
    End { session: String },
    /// Ends all that is signed in as a person
    EndAll { user: String },
    /// Ends all of a person, and lets them link nothing until they are enabled
    Disable { user: String },
    /// Lets a disabled person link again
    Enable { user: String },
    /// Lists the last audit events of a person
    Events { user: String },
    /// Tells how fresh the gateway's verdicts are
    Health,
}
