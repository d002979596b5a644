import { defineConfig, type Options } from 'tsup'

const config: Options | Options[] | ((overrideOptions: Options) => unknown) = defineConfig({
  entry: ['src/index.ts', 'src/spool-store.ts'],
  format: 'esm',
  dts: true,
  clean: true,
  target: 'node22',
  platform: 'node',
})

export default config
