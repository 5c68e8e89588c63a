<?php
/**
 * Plugin Name: Conversion Relay pixel
 * Description: OpenAI's pixel for WordPress and WooCommerce, with the event ids of Conversion Relay.
 * Requires PHP: 7.4
 *
 * Where: wp-content/plugins/relay-pixel/relay-pixel.php, then Plugins > Activate. Remove any other copy of the pixel.
 */

defined('ABSPATH') || exit;

/** The id of an order at the relay: source and object. The relay knows WooCommerce as your own backend. */
function relay_pixel_order_id($order) {
    return 'backend:woo-' . $order->get_id();
}

/** JSON that may stand inside a script element. */
function relay_pixel_json($value) {
    return wp_json_encode($value, JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT);
}

/** The lines of an order; prices are of one piece, in major units, as text. */
function relay_pixel_items($order) {
    $items = array();
    foreach ($order->get_items() as $item) {
        $items[] = array(
            'id' => (string) ($item->get_variation_id() ?: $item->get_product_id()),
            'name' => $item->get_name(),
            'quantity' => (int) $item->get_quantity(),
            'price' => wc_format_decimal($order->get_item_total($item, true), wc_get_price_decimals()),
        );
    }
    return $items;
}

function relay_pixel_head() {
    ?>
    <script>
      «include:base.js»
      «include:core.js»
      «include:consent»
      // «if page_viewed»
      relayPixel.measure('page_viewed', { type: 'contents' });
      // «end»
      // Items as the shop writes them, prices as text, to what the pixel takes.
      relayPixel.contents = function (items, total, currency) {
        return Object.assign({ type: 'contents', contents: items.map(function (item) {
          return Object.assign({ id: item.id, name: item.name, quantity: item.quantity },
            relayPixel.money(relayPixel.minorUnits(item.price, currency), currency));
        }) }, relayPixel.money(relayPixel.minorUnits(total, currency), currency));
      };
      // «if lead_created»
      // A form with <input type="hidden" name="openai_event_id"> gets a new id; the same id has to reach the relay with
      // the form (a custom platform's event_id). Contact Form 7 tells when it has been sent.
      document.addEventListener('DOMContentLoaded', function () {
        document.querySelectorAll('input[name="openai_event_id"]').forEach(function (input) {
          input.value = relayPixel.token();
        });
      });
      document.addEventListener('wpcf7mailsent', function (event) {
        var input = event.target.querySelector('input[name="openai_event_id"]');
        if (input && relayPixel.usable(input.value)) {
          relayPixel.measure('lead_created', { type: 'customer_action' }, input.value);
          input.value = relayPixel.token();
        }
      });
      // «end»
    </script>
    «include:click.html»
    <?php
}
add_action('wp_head', 'relay_pixel_head', 1);

// «if contents_viewed»
function relay_pixel_product() {
    global $product;
    if (!$product instanceof WC_Product) {
        return;
    }
    $price = wc_format_decimal(wc_get_price_to_display($product), wc_get_price_decimals());
    $item = array('id' => (string) $product->get_id(), 'name' => $product->get_name(), 'quantity' => 1, 'price' => $price);
    printf(
        "<script>relayPixel.measure('contents_viewed', relayPixel.contents(%s, %s, %s));</script>\n",
        relay_pixel_json(array($item)),
        relay_pixel_json($price),
        relay_pixel_json(get_woocommerce_currency())
    );
}
add_action('woocommerce_after_single_product', 'relay_pixel_product');
// «end»

// «if order_created»
/** The page after the order: once it is paid, with the id that the relay uses for it. */
function relay_pixel_thankyou($order_id) {
    $order = wc_get_order($order_id);
    if (!$order || !$order->is_paid()) {
        return;
    }
    printf(
        "<script>relayPixel.measure('order_created', relayPixel.contents(%s, %s, %s), %s);</script>\n",
        relay_pixel_json(relay_pixel_items($order)),
        relay_pixel_json($order->get_total()),
        relay_pixel_json($order->get_currency()),
        relay_pixel_json(relay_pixel_order_id($order))
    );
}
add_action('woocommerce_thankyou', 'relay_pixel_thankyou');
// «end»

// «if backend»
/** A cookie as the browser sent it: $_COOKIE would be decoded, and a click reference must not be. */
function relay_pixel_raw_cookie($name) {
    foreach (explode(';', $_SERVER['HTTP_COOKIE'] ?? '') as $pair) {
        $parts = explode('=', trim($pair), 2);
        if (count($parts) === 2 && $parts[0] === $name && strlen($parts[1]) <= 4096) {
            return $parts[1];
        }
    }
    return '';
}

/** At checkout: what only the browser knows goes with the order. For visitors who refused, the pixel set no cookies. */
function relay_pixel_remember($order) {
    foreach (array('oppref', 'obref') as $name) {
        $value = relay_pixel_raw_cookie('__' . $name);
        if ($value !== '') {
            $order->update_meta_data('_relay_' . $name, $value);
        }
    }
}
add_action('woocommerce_checkout_create_order', 'relay_pixel_remember');
add_action('woocommerce_store_api_checkout_update_order_meta', 'relay_pixel_remember');

/**
 * The order is paid: tell the relay. The secret stands in wp-config.php:
 *   define('RELAY_BACKEND_SECRET', '…');   // the one in signing-secrets/custom/backend
 */
function relay_pixel_report($order_id) {
    $order = wc_get_order($order_id);
    if (!$order || !$order->is_paid() || !defined('RELAY_BACKEND_SECRET') || $order->get_meta('_relay_told')) {
        return;
    }
    $paid = $order->get_date_paid() ?: $order->get_date_created();
    $body = wp_json_encode(array_filter(array(
        'type' => 'order_created',
        'id' => 'woo-' . $order->get_id(),
        'time' => gmdate('Y-m-d\TH:i:s\Z', $paid->getTimestamp()),
        'action_source' => 'web',
        'source_url' => home_url('/'),
        'amount' => $order->get_total(),
        'currency' => $order->get_currency(),
        'contents' => relay_pixel_items($order),
        'oppref' => $order->get_meta('_relay_oppref'),
        'obref' => $order->get_meta('_relay_obref'),
        'user' => array_filter(array(
            'email' => $order->get_billing_email(),
            'phone' => $order->get_billing_phone(),
            'country' => $order->get_billing_country(),
            'id' => $order->get_customer_id() ? (string) $order->get_customer_id() : '',
            'ip_address' => $order->get_customer_ip_address(),
            'user_agent' => $order->get_customer_user_agent(),
        )),
    )));
    $now = (string) time();
    $answer = wp_remote_post(«php:backend_url», array(
        'timeout' => 10,
        'body' => $body,
        'headers' => array(
            'Content-Type' => 'application/json',
            'X-Relay-Time' => $now,
            'X-Relay-Signature' => hash_hmac('sha256', $now . '.' . $body, RELAY_BACKEND_SECRET),
        ),
    ));
    if (!is_wp_error($answer) && wp_remote_retrieve_response_code($answer) === 200) {
        $order->update_meta_data('_relay_told', $now);
        $order->save();
        return;
    }
    // Not taken: once more in ten minutes. The relay counts an order once, however often it is told.
    wp_schedule_single_event(time() + 600, 'relay_pixel_report', array($order_id));
}
add_action('relay_pixel_report', 'relay_pixel_report');
foreach (array('woocommerce_payment_complete', 'woocommerce_order_status_processing', 'woocommerce_order_status_completed') as $hook) {
    add_action($hook, 'relay_pixel_report');
}
// «end»
