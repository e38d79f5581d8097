//! Pictures of pages, as a person sees them on a phone and on a desk, by day and by night.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::repository;

/// The widths, in CSS pixels. The first is the narrowest that WCAG 2.2 asks for (1.4.10, Reflow).
const WIDTHS: [u64; 2] = [320, 1280];
const SCHEMES: [&str; 2] = ["light", "dark"];

impl Browser {
    /// Writes the four pictures of the page that is open to `target/pages/<name>-<width>-<light|dark>.png`, and checks that
    /// nobody must scroll sideways.
    pub async fn picture(&self, name: &str) {
        let folder = repository().join("target/pages");
        fs::create_dir_all(&folder).unwrap();
        for width in WIDTHS {
            for scheme in SCHEMES {
                self.look(width, scheme).await;
                let (wide, high) = self.size().await;
                assert!(wide <= width, "{name} is {wide} pixels wide on a screen of {width}");
                let file = folder.join(format!("{name}-{width}-{scheme}.png"));
                fs::write(file, self.photograph(width, high).await).unwrap();
            }
        }
        self.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.command("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
    }

    /// Shows pages at `width` and in a colour scheme from now on.
    pub async fn look(&self, width: u64, scheme: &str) {
        let screen = json!({ "width": width, "height": 640, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", screen).await;
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", json!({ "features": [feature] })).await;
    }

    /// How wide and high the page's content is.
    async fn size(&self) -> (u64, u64) {
        let metrics = self.command("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        (size["width"].as_u64().unwrap(), size["height"].as_u64().unwrap())
    }

    async fn photograph(&self, width: u64, height: u64) -> Vec<u8> {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.command("Page.captureScreenshot", whole).await;
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }

    /// A command of the Chrome DevTools Protocol.
    async fn command(&self, name: &str, parameters: Value) -> Value {
        let answer = self.cdp().send_raw(name, parameters).await;
        answer.unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}
