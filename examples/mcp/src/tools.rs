//! The tools.

use bridge_auth::Caller;
use http::request::Parts;
use rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tools keep no state: each request says who calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tools;

#[tool_router]
impl Tools {
    /// Returns who calls, and the names of the headers that the tool received. The token is never among them.
    #[tool(name = "whoami", description = "Tells who you are here")]
    async fn who_am_i(&self, request: GuardedRequest) -> Json<WhoAmI> {
        let caller = request.caller;
        Json(WhoAmI {
            user_id: caller.user_id().to_string(),
            session_id: caller.session_id().to_string(),
            client_id: caller.client_id().to_string(),
            scopes: caller.scopes().iter().map(ToString::to_string).collect(),
            headers: request.headers,
        })
    }

    /// Needs the scope `hook:track`. `scopes` checks it before the call reaches this tool.
    #[tool(name = "track", description = "Writes to your audit track; needs the scope hook:track")]
    async fn track(&self, request: GuardedRequest, Parameters(report): Parameters<Report>) -> Json<Tracked> {
        Json(Tracked { user_id: request.caller.user_id().to_string(), event: report.event })
    }
}

#[tool_handler]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("bridge-auth-example", env!("CARGO_PKG_VERSION")))
    }
}

/// The caller of *this* request and the names of its headers, as a tool's argument.
struct GuardedRequest {
    caller: Caller,
    headers: Vec<String>,
}

impl<C: AsRequestContext> FromContextPart<C> for GuardedRequest {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        // rmcp puts the head of the HTTP request here. The guard put the caller into the head's extensions.
        let parts = context.as_request_context().extensions.get::<Parts>();
        parts
            .and_then(|parts| {
                let headers = parts.headers.keys().map(ToString::to_string).collect();
                Some(Self { caller: parts.extensions.get::<Caller>()?.clone(), headers })
            })
            .ok_or_else(|| ErrorData::internal_error("the server is not behind the guard", None))
    }
}

/// Who calls.
#[derive(Debug, Serialize, JsonSchema)]
struct WhoAmI {
    user_id: String,
    session_id: String,
    client_id: String,
    scopes: Vec<String>,
    /// The names of the headers that reached the tool.
    headers: Vec<String>,
}

/// One report of a hook.
#[derive(Debug, Deserialize, JsonSchema)]
struct Report {
    /// What happened.
    event: String,
}

/// The report that was written.
#[derive(Debug, Serialize, JsonSchema)]
struct Tracked {
    user_id: String,
    event: String,
}
