<?php
// Runs the printed plugin without WordPress: as little of WordPress and WooCommerce as it calls, and one paid order.
// Prints what the thank-you page gets, and the request to the relay, as one JSON object.
// Usage: php wordpress.php PLUGIN [unpaid]

define('ABSPATH', __DIR__);
define('RELAY_BACKEND_SECRET', 'backend_test_5b4a');
$_SERVER['HTTP_COOKIE'] = 'a=b; __oppref=op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d; __obref=ob%201';

$hooks = array();
$requests = array();
$later = array();

function add_action($hook, $callback) { global $hooks; $hooks[$hook][] = $callback; }
function wp_json_encode($value, $flags = 0) { return json_encode($value, $flags); }
function wc_format_decimal($amount, $places) { return number_format((float) $amount, $places, '.', ''); }
function wc_get_price_decimals() { return 2; }
function wc_get_order($id) { global $order; return $order; }
function home_url($path) { return 'https://shop.example' . $path; }
function is_wp_error($answer) { return false; }
function wp_remote_retrieve_response_code($answer) { return $answer; }
function wp_schedule_single_event($time, $hook, $arguments) { global $later; $later[] = $hook; }
function wp_remote_post($address, $request) {
    global $requests, $answers;
    $requests[] = array('address' => $address) + $request;
    return array_shift($answers);
}

class Line {
    function get_variation_id() { return 0; }
    function get_product_id() { return 77; }
    function get_name() { return 'Shoe "42" </script>'; }
    function get_quantity() { return 2; }
}

class Order {
    public $meta = array();
    public $paid = true;
    function get_id() { return 1234; }
    function is_paid() { return $this->paid; }
    function get_items() { return array(new Line()); }
    function get_item_total($item, $with_tax) { return 14.5; }
    function get_total() { return '29.00'; }
    function get_currency() { return 'EUR'; }
    function get_date_paid() { return new DateTime('@' . time()); }
    function get_date_created() { return null; }
    function get_meta($name) { return $this->meta[$name] ?? ''; }
    function update_meta_data($name, $value) { $this->meta[$name] = $value; }
    function save() {}
    function get_billing_email() { return 'mara@example.com'; }
    function get_billing_phone() { return ''; }
    function get_billing_country() { return 'IE'; }
    function get_customer_id() { return 9; }
    function get_customer_ip_address() { return '203.0.113.24'; }
    function get_customer_user_agent() { return 'Mozilla/5.0'; }
}

require $argv[1];

$order = new Order();
$order->paid = ($argv[2] ?? '') !== 'unpaid';
$answers = array(503, 200, 200);
foreach ($hooks['woocommerce_checkout_create_order'] as $each) { $each($order); }
ob_start();
foreach ($hooks['woocommerce_thankyou'] as $each) { $each(1234); }
$thanks = ob_get_clean();
foreach (array('woocommerce_payment_complete', 'woocommerce_order_status_processing', 'woocommerce_order_status_completed') as $hook) {
    foreach ($hooks[$hook] as $each) { $each(1234); }
}
echo json_encode(array('thanks' => $thanks, 'requests' => $requests, 'later' => $later));
