// The official JavaScript client against knarr, as a person writes it: a controller driven by an
// informer, exec and port-forward over WebSocket, logs, patches, errors.
//
//   node client.mjs controller            mirrors every ConfigMap labelled mirror=yes until it is ended
//   node client.mjs exec POD              runs cat with its own standard input; prints what came back
//   node client.mjs port-forward POD      prints what an HTTP GET of the pod's port 80 through a tunnel says
//   node client.mjs logs POD              follows the log to its end
//   node client.mjs api                   create, list in pages, patch, conflict, apply, delete
//
// The cluster is that of $KUBECONFIG. Exits 0 if all went well.
import http from 'node:http';
import net from 'node:net';
import { PassThrough, Readable, Writable } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const namespace = 'default';

function check(holds, what) {
  if (!holds) throw new Error(what);
}

function collect() {
  const parts = [];
  const stream = new Writable({ write(chunk, _, done) { parts.push(chunk); done(); } });
  return { stream, text: () => Buffer.concat(parts).toString() };
}

async function controller() {
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`,
    () => core.listNamespacedConfigMap({ namespace, labelSelector: 'mirror=yes' }), 'mirror=yes');
  const mirrorName = (object) => `${object.metadata.name}-mirror`;
  const reconcile = async (object) => {
    const body = {
      metadata: {
        name: mirrorName(object),
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: object.metadata.name, uid: object.metadata.uid }],
      },
      data: { ...object.data, seen: object.metadata.resourceVersion },
    };
    try {
      await core.createNamespacedConfigMap({ namespace, body });
    } catch (error) {
      if (error.code !== 409) throw error;
      await core.replaceNamespacedConfigMap({ namespace, name: body.metadata.name, body });
    }
    console.log(`mirrored ${object.metadata.name}`);
  };
  let queue = Promise.resolve();
  const enqueue = (object) => { queue = queue.then(() => reconcile(object)); };
  informer.on('add', enqueue);
  informer.on('update', enqueue);
  informer.on('delete', (object) => console.log(`gone ${object.metadata.name}`));
  informer.on('error', (error) => { console.error(error); process.exit(1); });
  await informer.start();
  console.log('started');
}

async function exec(pod) {
  const out = collect();
  const err = collect();
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec(namespace, pod, undefined, ['sh', '-c', 'head -c 200000 | wc -c; echo trouble >&2; exit 3'],
      out.stream, err.stream, Readable.from([Buffer.alloc(200000, 'x')]), false, resolve).catch(reject);
  });
  console.log(`out=${out.text().trim()} err=${err.text().trim()} status=${status.status} reason=${status.reason}` +
    ` code=${status.details?.causes?.[0]?.message}`);
}

async function portForward(pod) {
  const forward = new k8s.PortForward(config);
  const tunnel = net.createServer((socket) => {
    forward.portForward(namespace, pod, [80], socket, null, socket).catch((error) => socket.destroy(error));
  });
  await new Promise((resolve) => tunnel.listen(0, '127.0.0.1', resolve));
  const text = await new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: tunnel.address().port, agent: false }, (answer) => {
      let body = '';
      answer.on('data', (chunk) => { body += chunk; });
      answer.on('end', () => resolve(body));
    }).on('error', reject);
  });
  console.log(text.trim());
  process.exit(0); // the tunnel's sockets would keep it alive
}

async function logs(pod) {
  const out = new PassThrough();
  const text = collect();
  out.pipe(text.stream);
  await new k8s.Log(config).log(namespace, pod, '', out, { follow: true });
  await new Promise((resolve) => out.on('end', resolve));
  console.log(text.text().trim());
}

async function api() {
  const labels = { suite: 'js' };
  for (let i = 0; i < 5; i++) {
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: `page-${i}`, labels }, data: { i: `${i}` } } });
  }
  const names = [];
  let token;
  do {
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'suite=js', limit: 2, _continue: token });
    names.push(...page.items.map((item) => item.metadata.name));
    token = page.metadata._continue;
  } while (token);
  check(names.join() === 'page-0,page-1,page-2,page-3,page-4', `pages: ${names}`);

  const stale = await core.readNamespacedConfigMap({ namespace, name: 'page-0' });
  await core.patchNamespacedConfigMap({ namespace, name: 'page-0', body: [{ op: 'add', path: '/data/more', value: 'yes' }] });
  const error = await core.replaceNamespacedConfigMap({ namespace, name: 'page-0', body: stale }).catch((e) => e);
  check(error.code === 409 && JSON.parse(error.body).reason === 'Conflict', `conflict: ${error.code} ${error.body}`);

  const objects = k8s.KubernetesObjectApi.makeApiClient(config);
  const applied = await objects.patch({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied', namespace }, data: { a: '1' } },
    undefined, undefined, 'js', true, k8s.PatchStrategy.ServerSideApply);
  check(applied.metadata.managedFields[0].operation === 'Apply', 'apply');
  const missing = await core.readNamespacedConfigMap({ namespace, name: 'none' }).catch((e) => e);
  check(missing.code === 404, `missing: ${missing.code}`);
  const all = { namespace, labelSelector: 'suite=js' };
  await core.deleteCollectionNamespacedConfigMap({ ...all, body: { dryRun: ['All'] } });
  const still = await core.listNamespacedConfigMap(all);
  check(still.items.length === 5, `a dry run deleted: ${still.items.length}`);
  await core.deleteCollectionNamespacedConfigMap(all);
  const left = await core.listNamespacedConfigMap(all);
  check(left.items.length === 0, `left: ${left.items.length}`);
  console.log('all as it should be');
}

const [verb, pod] = process.argv.slice(2);
const verbs = { controller, exec, 'port-forward': portForward, logs, api };
await verbs[verb](pod);
