//! Spark's own cluster manager, asked through the web interface of its master: `/json/` lists,
//! `/app/kill/` and `/driver/kill/` end (`spark.ui.killEnabled`, on by default). Its other REST
//! server, on port 6066, is off by default and knows no applications.

use serde_json::Value;

use super::{
    http,
    question::{Application, ClusterError},
};

/// Port of the web interface, unless `spark.master.ui.port` says otherwise.
const UI_PORT: u16 = 8080;

#[derive(Clone, Debug)]
pub(super) struct Standalone {
    /// One for each master; several if they stand in for each other.
    urls: Vec<String>,
}

impl Standalone {
    /// `hosts` is what follows `spark://`: `host:port`, or several separated by commas.
    pub(super) fn new(hosts: &str, url: Option<&str>) -> Self {
        let of_host = |host: &str| {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            format!("http://{name}:{UI_PORT}")
        };
        let urls = match url {
            Some(url) => url.split(',').map(|url| trimmed(url).to_owned()).collect(),
            None => hosts.split(',').map(of_host).collect(),
        };
        Self { urls }
    }

    pub(super) fn applications(&self) -> Result<Vec<Application>, ClusterError> {
        let (_, state) = self.state()?;
        Ok(list(&state, "activeapps")
            .iter()
            .filter_map(application)
            .collect())
    }

    pub(super) fn runs(&self, id: &str) -> Result<bool, ClusterError> {
        let (_, state) = self.state()?;
        let section = if is_driver(id) {
            "activedrivers"
        } else {
            "activeapps"
        };
        Ok(list(&state, section).iter().any(|entry| entry["id"] == id))
    }

    pub(super) fn kill(&self, id: &str) -> Result<(), ClusterError> {
        let (url, _) = self.state()?;
        let page = if is_driver(id) { "driver" } else { "app" };
        let url = format!("{url}/{page}/kill/");
        let answer = http::post_form(&url, &[("id", id), ("terminate", "true")])?;
        match answer.status {
            200..=399 => Ok(()),
            _ => Err(answer.refused(&url)),
        }
    }

    /// The master in charge and what it says.
    fn state(&self) -> Result<(&str, Value), ClusterError> {
        let mut problem = None;
        for url in &self.urls {
            let page = format!("{url}/json/");
            match http::get(&page).and_then(|answer| answer.json(&page)) {
                Ok(state) if state["status"] == "ALIVE" => return Ok((url, state)),
                Ok(state) => {
                    problem = Some(ClusterError::Refused {
                        whom: page,
                        answer: format!("this master is {}", state["status"]),
                    });
                }
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| ClusterError::OutOfReach {
            whom: "the master".to_owned(),
            why: "it has no address".to_owned(),
        }))
    }
}

fn trimmed(url: &str) -> &str {
    url.trim().trim_end_matches('/')
}

/// Cluster mode has a driver, which has a name of its own; ending it ends its application.
fn is_driver(id: &str) -> bool {
    id.starts_with("driver-")
}

fn list<'a>(state: &'a Value, section: &str) -> &'a [Value] {
    state[section].as_array().map_or(&[], Vec::as_slice)
}

fn application(entry: &Value) -> Option<Application> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    Some(Application {
        id: entry["id"].as_str()?.to_owned(),
        name: text("name"),
        state: text("state"),
        user: text("user"),
        queue: String::new(),
        tracking_url: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let urls = |hosts, url| Standalone::new(hosts, url).urls;
        assert_eq!(
            urls("a:7077,b:7078", None),
            ["http://a:8080", "http://b:8080"]
        );
        assert_eq!(urls("a:7077", Some("http://ui:9000/")), ["http://ui:9000"]);
    }
}
