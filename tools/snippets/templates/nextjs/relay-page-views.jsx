'use client';
// Conversion Relay: one page_viewed for each page, also for those that the router changes without loading
// (app/relay-page-views.jsx).
import { usePathname } from 'next/navigation';
import { useEffect, useRef } from 'react';

export default function PageViews() {
  const path = usePathname();
  const last = useRef(null);
  useEffect(() => {
    if (last.current === path) return; // React's strict mode runs effects twice
    last.current = path;
    // «if page_viewed»
    window.relayPixel.measure('page_viewed', { type: 'contents' });
    // «end»
  }, [path]);
  return null;
}
