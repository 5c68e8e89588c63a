// Conversion Relay: on your server, where a Checkout Session is made (Node, stripe-node). The page posts what its
// browser knows: relayClick.key() as relay_click, the cookies __oppref and __obref as they stand, its own address.
export async function createSession(stripe, page, rest) {
  const click = {};
  if (page.relay_click) click.relay_click = page.relay_click;
  if (page.obref) click.obref = page.obref;
  if (page.source_url) click.source_url = page.source_url;
  // Stripe cuts metadata values at 500 characters; the relay joins oppref, oppref_2 … oppref_9.
  for (let part = 0; page.oppref && part < 9 && part * 500 < page.oppref.length; part += 1) {
    click[part ? `oppref_${part + 1}` : 'oppref'] = page.oppref.slice(part * 500, (part + 1) * 500);
  }
  const session = {
    ...rest,
    // Stripe fills in the id. With openai_event_id in the metadata instead, no Stripe id is needed in the browser.
    success_url: `${«js:site»}/thanks?session_id={CHECKOUT_SESSION_ID}`,
    metadata: { ...rest.metadata, ...click },
  };
  // Stripe copies no metadata from a session to its subscription.
  if (rest.mode === 'subscription') {
    session.subscription_data = {
      ...rest.subscription_data,
      metadata: { ...(rest.subscription_data && rest.subscription_data.metadata), ...click },
    };
  }
  return stripe.checkout.sessions.create(session);
}
