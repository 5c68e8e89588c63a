// Conversion Relay: OpenAI's pixel in the root layout (app/layout.jsx). Put the two elements below into yours.
// beforeInteractive puts the script into the <head> of every page. With a Content-Security-Policy pass your nonce.
import Script from 'next/script';
import { Suspense } from 'react';
import PageViews from './relay-page-views';

export default function RootLayout({ children }) {
  return (
    <html lang="en">
      <body>
        <Script src="/relay-pixel.js" strategy="beforeInteractive" />
        {/* «if click» */}
        <Script src={«js:click_url» + '/relay-click.js'} data-endpoint={«js:click_url»} data-consent={«js:consent»} strategy="afterInteractive" />
        {/* «end» */}
        <Suspense fallback={null}>
          <PageViews />
        </Suspense>
        {children}
      </body>
    </html>
  );
}
