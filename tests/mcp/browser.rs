//! A browser without scripts, which looks at each page that it opens.

use std::collections::{BTreeSet, VecDeque};

use nessus_mcp_lib::secret::Secret;

use crate::{
    fixture::Fixture,
    markup::{Element, elements},
};

/// How a page was answered.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A browser of somebody.
pub(crate) struct Browser<'a> {
    /// Where the pages are.
    url: String,
    token: Option<&'a Secret>,
}

impl<'a> Browser<'a> {
    pub(crate) fn of(fixture: &Fixture) -> Self {
        Self { url: fixture.server.url().to_owned(), token: None }
    }

    pub(crate) fn with(fixture: &Fixture, token: &'a Secret) -> Self {
        Self { token: Some(token), ..Self::of(fixture) }
    }

    /// The same at the address that the pages have for themselves.
    pub(crate) fn at_the_pages(self, fixture: &Fixture) -> Self {
        Self { url: fixture.pages(), ..self }
    }

    /// A page of this server. Whatever it is, it has the headers that keep it what it is.
    pub(crate) async fn open(&self, path: &str) -> Shown {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url));
        let request =
            self.token.into_iter().fold(request, |request, token| request.basic_auth("me", Some(token.expose())));
        let answer = request.send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|have| have == part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"), "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        Shown { status: answer.status().as_u16(), body: answer.text().await.unwrap() }
    }

    /// A page that is there and has nothing in it that runs or loads anything.
    pub(crate) async fn page(&self, path: &str) -> String {
        let Shown { status, body } = self.open(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        if path != "/ui/style.css" {
            assert_inert(&body);
        }
        body
    }

    /// Follows every link from these pages on; returns the paths that were opened.
    pub(crate) async fn crawl(&self, from: &[&str]) -> BTreeSet<String> {
        let (mut seen, mut next) = (BTreeSet::new(), VecDeque::new());
        next.extend(from.iter().map(|path| (*path).to_owned()));
        while let Some(path) = next.pop_front() {
            if !seen.insert(path.clone()) {
                continue;
            }
            assert!(seen.len() < 300, "{seen:#?}");
            let body = self.page(&path).await;
            let links = elements(&body).into_iter().filter_map(|element| element.attribute("href"));
            next.extend(links.filter(|link| link.starts_with("/ui")));
        }
        seen
    }
}

/// A page has only elements and attributes that show something, and leads nowhere but to this server or, without telling from
/// where, to a web page.
#[track_caller]
pub(crate) fn assert_inert(body: &str) {
    const ELEMENTS: &str = "!doctype html head meta title link body nav main footer section article header h1 h2 h3 p div span a ul li \
        strong small code time table thead tbody tr th td progress meter form label select option input button details summary dl dt \
        dd figure figcaption svg text rect br";
    const ATTRIBUTES: &str = "html lang charset name content http-equiv rel href class aria-current datetime title value max min method \
        action type placeholder selected role aria-label viewbox x y width height text-anchor";
    for element in elements(body) {
        assert!(ELEMENTS.split_whitespace().any(|name| name == element.name), "<{}>: {body}", element.name);
        for (name, value) in &element.attributes {
            assert!(ATTRIBUTES.split_whitespace().any(|known| known == name), "{element:?}");
            if matches!(name.as_str(), "href" | "action") {
                let is_own = value.starts_with("/ui") || (element.name == "link" && value == "data:,");
                let is_page = (value.starts_with("https://") || value.starts_with("http://"))
                    && element.attribute("rel").is_some_and(|rel| rel.contains("noreferrer"));
                assert!(is_own || is_page, "{element:?}");
            }
        }
        if element.name == "meta" && element.attribute("http-equiv").is_some() {
            assert_eq!(
                (element.attribute("http-equiv").as_deref(), element.attribute("content").as_deref()),
                (Some("refresh"), Some("10"))
            );
        }
    }
}

/// Whether a page is loaded again by itself.
pub(crate) fn refreshes(body: &str) -> bool {
    elements(body).iter().any(|element: &Element| element.attribute("http-equiv").is_some())
}
