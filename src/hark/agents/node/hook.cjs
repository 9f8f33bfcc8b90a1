'use strict';
// Hears the TLS secrets of a Node process: every TLSSocket emits 'keylog' with a line in NSS key log format.
// TLSSocket.prototype._init runs once for each socket, client's and server's, before a byte is sent; a listener added
// there hears https, http2, fetch, worker threads and everything else that stands on node:tls.
// Changes nothing that the program can see, and gives up silently where anything is not as expected.
try {
  const fs = require('fs');
  const file = require('path').join(__dirname, '..', 'private', 'keylog');
  const flags = fs.constants.O_WRONLY | fs.constants.O_APPEND;
  const { openSync, writeSync, closeSync } = fs; // kept now: the program may replace them
  const { on } = require('events').prototype;
  const { TLSSocket } = require('tls');

  const write = (line) => {
    try {
      const fd = openSync(file, flags);
      try {
        writeSync(fd, line);
      } finally {
        closeSync(fd);
      }
    } catch {
      // The key log is not there: this process is not heard, and must not notice.
    }
  };

  const init = TLSSocket.prototype._init;
  TLSSocket.prototype._init = function _init(...args) {
    const result = Reflect.apply(init, this, args);
    try {
      Reflect.apply(on, this, ['keylog', write]);
    } catch {
      // A socket that takes no listener is one that hark does not hear.
    }
    return result;
  };
} catch {
  // A Node without TLS, or one that is built otherwise: the program runs on.
}
