//! What the log tells of refused requests.

use std::sync::Arc;

use http::Extensions;

use super::BridgeBuilder;

impl BridgeBuilder {
    /// How to find the template of a request's route, such as `/people/{id}`, for the lines of refused requests. Default:
    /// the lines have the path, without the query, and without what is longer than 40 characters in it.
    ///
    /// With axum and its feature `matched-path`, give the template that the router has matched. Add the layer with
    /// `Router::layer` or `route_layer`, so that it runs behind the router.
    ///
    /// ```
    /// # use bridge_auth::BridgeBuilder;
    /// use axum::extract::MatchedPath;
    ///
    /// # fn with_routes(builder: BridgeBuilder) -> BridgeBuilder {
    /// builder.route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()))
    /// # }
    /// ```
    ///
    /// The endpoints of this bridge name their templates themselves.
    pub fn route_template(
        mut self,
        find: impl for<'e> Fn(&'e Extensions) -> Option<&'e str> + Send + Sync + 'static,
    ) -> Self {
        self.route = Some(Arc::new(find));
        self
    }
}
