// Runs all tests, in a page or in Node, and tells the server what came of them.
import { post, run } from './kit.js';
import './pure_tests.js';
import './fake_tests.js';
import './room_tests.js';
import './gate_tests.js';

try {
  await run();
} catch (error) {
  await post('/result', { name: 'the tests ran to their end', ok: false, why: String(error?.stack ?? error) });
}
await post('/done', {});
