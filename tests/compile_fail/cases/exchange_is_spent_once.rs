//~ E0382
//~ use of moved value: `exchange`

pub async fn twice(issuer: &bridge_auth::issue::Issuer, exchange: bridge_auth::issue::Exchange) {
    let _ = issuer.exchange(exchange).await;
    let _ = issuer.exchange(exchange).await;
}
