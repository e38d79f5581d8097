//! `GET /`: who is signed in, and where to go.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use axum_extra::extract::CookieJar;

use super::app::AppState;
use super::html;
use super::login::{Failed, Person};

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"{% match person %}
{% when Some with (person) %}
<p>You are signed in as <strong>{{ person.name }}</strong>{% if let Some(label) = person.label %}{% if *label != person.name %} ({{ label }}){% endif %}{% endif %}.</p>
<ul>
<li><a href="/devices">Your devices</a>: what is signed in as you, and how to end it</li>
<li><a href="/device">Enter a code</a> that a program shows you</li>
</ul>
<form method="post" action="/logout"><button>Sign out</button></form>
{% when None %}
<p>You are not signed in.</p>
<p><a href="/login?return_to=/">Sign in</a></p>
{% endmatch %}"#
)]
struct Home {
    person: Option<Person>,
}

pub async fn home(State(state): State<AppState>, cookies: CookieJar) -> Result<Response, Failed> {
    let person = state.logins.who(&cookies).await?;
    Ok(html::page("Home", &Home { person })?)
}
