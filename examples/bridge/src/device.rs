//! The device grant (RFC 8628): the bridge shows a code, and the person allows it in any browser, also on another device.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use oauth2::{
    AsyncHttpClient, DeviceAuthorizationUrl, DeviceCodeErrorResponse, DeviceCodeErrorResponseType,
    HttpRequest, HttpResponse, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
};
use tokio::time::sleep;

use crate::credential::Life;
use crate::gateway::{Gateway, Problem};
use crate::login::LoginRequest;
use crate::oauth::{self, Token};
use crate::{browser, note, say};

/// The longest interval that a gateway may ask for. More would be a defect of the gateway.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// While the gateway cannot be reached, the interval doubles (RFC 8628 §3.5), up to this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Asks for a code, shows it, and waits until the person has decided.
pub async fn grant(gateway: &Gateway, wanted: &LoginRequest, open: bool) -> Result<Token, Problem> {
    let endpoint = DeviceAuthorizationUrl::from_url(gateway.device_authorization_endpoint().await?);
    let client = gateway.oauth_client(&wanted.client_id, None).await?;
    let client = client.set_device_authorization_url(endpoint);
    let mut request = client.exchange_device_code();
    for scope in wanted.scopes() {
        request = request.add_scope(Scope::new(scope.to_owned()));
    }
    if let Some(resource) = &wanted.resource {
        request = request.add_extra_param("resource", resource.as_str());
    }
    let began = Instant::now();
    let codes: StandardDeviceAuthorizationResponse =
        request.request_async(gateway).await.map_err(oauth::refused)?;
    let polling = Polling::new(gateway, began + checked_life(&codes)?);
    show(gateway, &codes, open)?;
    // The person has not decided yet, so the first question would be a waste.
    polling.pause(codes.interval()).await;
    let answer = client
        .exchange_device_access_token(&codes)
        .set_max_backoff_interval(LONGEST_BACKOFF)
        .request_async(&polling, |interval| polling.pause(interval), Some(polling.left()))
        .await;
    match answer {
        Ok(answer) => Ok(Token::of(&answer, polling.last().asked)),
        Err(error) => Err(polling.explain(error)),
    }
}

/// How long the codes are good.
fn checked_life(codes: &StandardDeviceAuthorizationResponse) -> Result<Duration> {
    let (life, interval) = (codes.expires_in(), codes.interval());
    ensure!(interval <= LONGEST_INTERVAL, "the gateway allows one question in {} s", interval.as_secs());
    ensure!(life <= 24 * LONGEST_INTERVAL, "the gateway's code is good for {} s", life.as_secs());
    Ok(life)
}

fn show(gateway: &Gateway, codes: &StandardDeviceAuthorizationResponse, open: bool) -> Result<()> {
    let code = codes.user_code().secret();
    let can_be_typed = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(can_be_typed, "the gateway's code cannot be typed");
    let page = codes.verification_uri().url();
    gateway.check_is_private(page)?;
    say(&format!("code: {code}"))?;
    say(&format!("Open {page} in a browser on any device, and enter this code."))?;
    if let Some(complete) = codes.verification_uri_complete() {
        let complete = complete.secret().parse().context("the gateway's address is malformed")?;
        gateway.check_is_private(&complete)?;
        say(&format!("Or open {complete}, and compare the code that you see there."))?;
        if open {
            browser::open(&complete);
        }
    } else if open {
        browser::open(page);
    }
    say(&format!("The code is good for {} min.", codes.expires_in().as_secs().div_ceil(60)))
}

/// The gateway as the stock client polls it.
struct Polling<'g> {
    gateway: &'g Gateway,
    until: Instant,
    last: Mutex<Last>,
}

/// How the last question went.
struct Last {
    asked: Life,
    /// Why it was not answered.
    fault: Option<Problem>,
}

impl<'g> Polling<'g> {
    fn new(gateway: &'g Gateway, until: Instant) -> Self {
        Self { gateway, until, last: Mutex::new(Last { asked: Life::begins(), fault: None }) }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Problem> {
        self.last().asked = Life::begins();
        let answer = self.gateway.send_oauth(request).await;
        let mut last = self.last();
        match answer {
            Ok(answer) => {
                last.fault = None;
                Ok(answer)
            }
            Err(problem) => {
                if last.fault.is_none() {
                    note(&format!("{problem}; asking again until the code expires"));
                }
                // The stock client does not look at the error. It asks again, less often.
                last.fault = Some(problem);
                Err(Problem::NoToken("the gateway did not answer".to_owned()))
            }
        }
    }

    /// Waits as long as the stock client and the gateway want, but not past the end of the code.
    async fn pause(&self, interval: Duration) {
        let asked = match &self.last().fault {
            Some(Problem::TryAgain { after: Some(after), .. }) => *after,
            _ => Duration::ZERO,
        };
        sleep(interval.max(asked).min(self.left()).max(SHORTEST_PAUSE)).await;
    }

    fn explain(&self, error: RequestTokenError<Problem, DeviceCodeErrorResponse>) -> Problem {
        let RequestTokenError::ServerResponse(response) = error else {
            return Problem::NoToken("the answer of the token endpoint is malformed".to_owned());
        };
        match (response.error(), &self.last().fault) {
            (DeviceCodeErrorResponseType::AccessDenied, _) => Problem::Denied,
            (DeviceCodeErrorResponseType::ExpiredToken, Some(fault)) => {
                anyhow!("{fault}, until the code expired: run `bridge login` again").into()
            }
            (DeviceCodeErrorResponseType::ExpiredToken, None) => {
                anyhow!("nobody allowed this device before the code expired: run `bridge login` again").into()
            }
            _ => Problem::NoToken(response.to_string()),
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Polling<'_> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Problem>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
