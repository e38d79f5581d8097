//! Opens the person's browser.

use url::Url;

use crate::note;

/// Opens `url` in the browser that BROWSER names, or else in the person's default browser. When there is none, the
/// person opens the address that was printed.
pub fn open(url: &Url) {
    let url = url.to_string();
    // A browser in a terminal ends when the person leaves it. A task of the runtime would hold up the end of the bridge.
    std::thread::spawn(move || {
        if webbrowser::open(&url).is_err() {
            note("no browser could be opened: open the address yourself");
        }
    });
}
