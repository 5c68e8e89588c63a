// Conversion Relay: the standard events (app/relay-events.js). Amounts are texts in major units, such as '149.00'.
// The same id goes to the relay: 'stripe:cs_…', 'stripe:sub_…', or a token made here that your server hands on as
// metadata openai_event_id (Stripe) or event_id (backend).
const pixel = () => window.relayPixel;

export const newEventId = () => pixel().token();

function contents(items, total, currency) {
  const { minorUnits, money } = pixel();
  return {
    type: 'contents',
    contents: items.map(({ id, name, quantity, price }) => ({
      id: String(id), name, quantity, ...money(minorUnits(price, currency), currency),
    })),
    ...money(minorUnits(total, currency), currency),
  };
}

// «if contents_viewed»
export function contentsViewed(item, currency) {
  pixel().measure('contents_viewed', contents([{ quantity: 1, ...item }], item.price, currency));
}
// «end»
// «if items_added»
export function itemsAdded(items, total, currency) {
  pixel().measure('items_added', contents(items, total, currency));
}
// «end»
// «if checkout_started»
export function checkoutStarted(items, total, currency, eventId) {
  pixel().measure('checkout_started', contents(items, total, currency), eventId);
}
// «end»
// «if order_created»
// Only on a page that your server shows for a paid order. eventId: 'stripe:' + session.id, or the token.
export function orderCreated(items, total, currency, eventId) {
  if (pixel().usable(eventId)) pixel().measure('order_created', contents(items, total, currency), eventId);
}
// «end»
// «if lead_created»
export function leadCreated(eventId) {
  if (pixel().usable(eventId)) pixel().measure('lead_created', { type: 'customer_action' }, eventId);
}
// «end»
// «if registration_completed»
export function registrationCompleted(eventId) {
  if (pixel().usable(eventId)) pixel().measure('registration_completed', { type: 'customer_action' }, eventId);
}
// «end»
// «if appointment_scheduled»
export function appointmentScheduled(eventId) {
  if (pixel().usable(eventId)) pixel().measure('appointment_scheduled', { type: 'customer_action' }, eventId);
}
// «end»
// «if subscription_created»
// eventId: 'stripe:' + subscription.id, or the token.
export function subscriptionCreated(planId, total, currency, eventId) {
  const { minorUnits, money } = pixel();
  const data = { type: 'plan_enrollment', plan_id: planId, ...money(minorUnits(total, currency), currency) };
  if (pixel().usable(eventId)) pixel().measure('subscription_created', data, eventId);
}
// «end»
// «if trial_started»
export function trialStarted(planId, eventId) {
  if (pixel().usable(eventId)) pixel().measure('trial_started', { type: 'plan_enrollment', plan_id: planId }, eventId);
}
// «end»
// «if custom»
export function custom(name, eventId) {
  pixel().measure('custom', { type: 'custom' }, eventId, { custom_event_name: name });
}
// «end»
