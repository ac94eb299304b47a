//! One question over HTTP and its answer. Plain HTTP only: where a cluster speaks TLS, its own
//! program is the way.

use serde_json::Value;

use super::question::{ANSWER, ClusterError};

/// A status and a body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    /// The body as JSON, or what was said instead.
    pub(super) fn json(&self, whom: &str) -> Result<Value, ClusterError> {
        let refused = || self.refused(whom);
        if !(200..300).contains(&self.status) {
            return Err(refused());
        }
        serde_json::from_str(&self.body).map_err(|_| refused())
    }

    /// The answer as an error: its status and the first words of its body.
    pub(super) fn refused(&self, whom: &str) -> ClusterError {
        let remote = serde_json::from_str::<Value>(&self.body).ok();
        let message = remote.as_ref().and_then(|tree| {
            let message = tree.pointer("/RemoteException/message")?.as_str()?;
            Some(message.to_owned())
        });
        let text =
            message.unwrap_or_else(|| self.body.split_whitespace().collect::<Vec<_>>().join(" "));
        let text: String = text.chars().take(200).collect();
        ClusterError::Refused {
            whom: whom.to_owned(),
            answer: format!("status {} {text}", self.status)
                .trim_end()
                .to_owned(),
        }
    }
}

pub(super) fn get(url: &str) -> Result<Answer, ClusterError> {
    let request = agent().get(url).header("Accept", "application/json");
    answer(url, request.call())
}

/// A form, as a browser sends it; a redirection is a good answer.
pub(super) fn post_form(url: &str, fields: &[(&str, &str)]) -> Result<Answer, ClusterError> {
    answer(url, agent().post(url).send_form(fields.iter().copied()))
}

pub(super) fn put_json(url: &str, body: &Value) -> Result<Answer, ClusterError> {
    let request = agent().put(url).header("Content-Type", "application/json");
    answer(url, request.send(body.to_string()))
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build()
        .into()
}

fn answer(
    url: &str,
    result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, ClusterError> {
    let out_of_reach = |error: ureq::Error| ClusterError::OutOfReach {
        whom: url.to_owned(),
        why: error.to_string(),
    };
    let mut response = result.map_err(out_of_reach)?;
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string().map_err(out_of_reach)?;
    Ok(Answer { status, body })
}
